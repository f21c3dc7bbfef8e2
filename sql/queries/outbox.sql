-- name: due_deliveries
SELECT delivery, incident FROM outbox WHERE state = 'due' AND due_at <= :now ORDER BY incident, delivery

-- name: leave_due
UPDATE outbox SET last_status = :why WHERE delivery = :delivery AND state = 'due'

-- name: claim_deliveries
UPDATE outbox SET owner = :owner, due_at = :until
WHERE delivery IN (
    SELECT o.delivery FROM outbox o JOIN incidents i ON i.incident = o.incident
    WHERE o.state = 'due' AND o.due_at <= :now AND i.stage NOT IN ('proposed', 'approved') AND NOT EXISTS (
        SELECT 1 FROM outbox e JOIN incidents j ON j.incident = e.incident
        WHERE e.state = 'due' AND j.stage NOT IN ('proposed', 'approved') AND j.intent = i.intent
            AND (j.opened_at < i.opened_at OR (j.opened_at = i.opened_at AND e.delivery < o.delivery)))
        AND NOT EXISTS (
            SELECT 1 FROM stops s
            WHERE s.intent IN (i.intent, '*') AND s.lifted_at IS NULL AND (s.until IS NULL OR s.until > :now))
    ORDER BY o.due_at, o.delivery LIMIT :most
) AND state = 'due' AND due_at <= :now
RETURNING delivery, incident, body, attempts, due_since

-- name: record_attempt
UPDATE outbox SET state = :state, attempts = attempts + 1, due_at = :due_at, delivered_at = :delivered_at, owner = NULL,
    last_status = :last_status
WHERE delivery = :delivery AND state = 'due' AND (owner = :owner OR CAST(:state AS TEXT) = 'delivered')

-- name: disable_target
INSERT INTO disabled_targets (target, disabled_at, why) VALUES (:target, :now, :why)
ON CONFLICT (target) DO NOTHING

-- name: disabled_target
SELECT why, disabled_at FROM disabled_targets WHERE target = :target

-- name: enable_targets
DELETE FROM disabled_targets
