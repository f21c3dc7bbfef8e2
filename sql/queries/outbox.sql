-- name: count_due_deliveries
SELECT COUNT(*) FROM outbox WHERE state = 'due' AND due_at <= :now

-- name: claim_deliveries
UPDATE outbox SET owner = :owner, due_at = :until
WHERE delivery IN (
    SELECT delivery FROM outbox WHERE state = 'due' AND due_at <= :now ORDER BY due_at, delivery LIMIT :most
) AND state = 'due' AND due_at <= :now
RETURNING delivery, incident, body, attempts

-- name: record_attempt
UPDATE outbox SET state = :state, attempts = attempts + 1, due_at = :due_at, delivered_at = :delivered_at, owner = NULL,
    last_status = :last_status
WHERE delivery = :delivery AND state = 'due' AND (owner = :owner OR CAST(:state AS TEXT) = 'delivered')
