-- name: events_to_tell
SELECT e.incident, e.at, e.what, e.to_stage, i.intent FROM incident_events e
JOIN incidents i ON i.incident = e.incident
WHERE e.at >= :since AND (e.what IN ('breach', 'undelivered') OR e.to_stage IN ('failed', 'verified', 'cancelled'))
ORDER BY e.at, e.incident, e.sequence

-- name: tickets_to_tell
SELECT ticket, owner, opened_at, closed_at FROM tickets
WHERE kind <> 'rollback_failed' AND (opened_at >= :since OR closed_at >= :since) ORDER BY opened_at, ticket

-- name: known_notices
SELECT notice FROM notices WHERE created_at >= :since

-- name: insert_notice
INSERT INTO notices (notice, kind, subject, owner, severity, state, due_at, created_at)
VALUES (:notice, :kind, :subject, :owner, :severity, 'due', :now, :now)
ON CONFLICT (notice) DO NOTHING

-- name: drop_unsent_notices
UPDATE notices SET state = 'dropped' WHERE subject = :subject AND kind = :kind AND state = 'due' AND attempts = 0
    AND claimed_by IS NULL AND NOT EXISTS (SELECT 1 FROM notice_messages m WHERE m.notice = notices.notice)

-- name: count_due_notices
SELECT count(*) FROM notices WHERE state = 'due' AND due_at <= :now

-- name: claim_notices
WITH due AS MATERIALIZED (
    SELECT notice FROM notices WHERE owner = :owner AND severity = :severity AND state = 'due' AND due_at <= :now
    /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE notices SET due_at = :until, claimed_by = :claimed_by
WHERE state = 'due' AND due_at <= :now AND notice IN (SELECT notice FROM due)
RETURNING notice, kind, subject, attempts, created_at

-- name: settle_notice
UPDATE notices SET state = :state, due_at = :due_at, sent_at = :sent_at, attempts = attempts + :attempts,
    claimed_by = NULL
WHERE notice = :notice AND state = 'due' AND claimed_by = :claimed_by

-- name: messages_of_notices
SELECT notice, contact FROM notice_messages WHERE notice IN :notices

-- name: messages_since
SELECT m.contact, count(DISTINCT m.message) AS messages FROM notice_messages m JOIN notices n ON n.notice = m.notice
WHERE n.owner = :owner AND n.severity = :severity AND m.sent_at > :since GROUP BY m.contact

-- name: insert_notice_message
INSERT INTO notice_messages (notice, contact, message, sent_at) VALUES (:notice, :contact, :message, :now)
ON CONFLICT (notice, contact) DO NOTHING

-- name: ticket
SELECT ticket, kind, subject, owner, opened_at, closed_at, state, evidence FROM tickets WHERE ticket = :ticket
