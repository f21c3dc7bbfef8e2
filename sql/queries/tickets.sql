-- name: open_ticket
INSERT INTO tickets (ticket, kind, subject, owner, opened_at, state, evidence)
VALUES (:ticket, :kind, :subject, :owner, :opened_at, 'open', :evidence)
ON CONFLICT (ticket) DO UPDATE SET evidence = excluded.evidence, state = 'open', closed_at = NULL,
    opened_at = CASE WHEN tickets.state = 'open' THEN tickets.opened_at ELSE excluded.opened_at END

-- name: close_ticket
UPDATE tickets SET state = 'closed', closed_at = :now WHERE ticket = :ticket AND state = 'open'

-- name: open_subjects
SELECT ticket, subject FROM tickets WHERE kind = :kind AND state = 'open' ORDER BY ticket

-- name: list_tickets
SELECT ticket, kind, subject, owner, opened_at, state, evidence FROM tickets ORDER BY opened_at, ticket
