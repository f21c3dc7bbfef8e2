-- name: insert_incident
INSERT INTO incidents (incident, test_key, indicator, intent, deployment, last_good, opened_at, state, evidence)
VALUES (:incident, :test_key, :indicator, :intent, :deployment, :last_good, :opened_at, :state, :evidence)
ON CONFLICT (incident) DO NOTHING

-- name: incident_of_key
SELECT incident FROM incidents WHERE test_key = :test_key

-- name: incidents
SELECT incident, test_key, indicator, intent, deployment, last_good, opened_at, state, evidence
FROM incidents ORDER BY opened_at, incident

-- name: breached_deployments
SELECT deployment FROM incidents WHERE intent = :intent AND state <> 'cancelled'

-- name: insert_delivery
INSERT INTO outbox (delivery, incident, body, state, attempts, due_at, created_at, last_status)
VALUES (:delivery, :incident, :body, :state, 0, :due_at, :created_at, '')

-- name: incident_deliveries
SELECT delivery, incident, state, attempts, last_status FROM outbox ORDER BY created_at, delivery

-- name: move_deliveries
UPDATE outbox SET state = :state, due_at = :now, attempts = 0, owner = NULL
WHERE incident = :incident AND state IN :states
RETURNING delivery

-- name: set_incident_state
UPDATE incidents SET state = :state WHERE incident = :incident

-- name: incident_state
SELECT state FROM incidents WHERE incident = :incident

-- name: insert_incident_event
INSERT INTO incident_events (incident, sequence, at, who, what, why)
SELECT :incident, coalesce(max(sequence), 0) + 1, :at, :who, :what, :why FROM incident_events WHERE incident = :incident
