-- name: insert_incident
INSERT INTO incidents (incident, test_key, indicator, intent, deployment, last_good, opened_at, state, evidence)
VALUES (:incident, :test_key, :indicator, :intent, :deployment, :last_good, :opened_at, :state, :evidence)
ON CONFLICT (incident) DO NOTHING

-- name: insert_incident_key
INSERT INTO incident_keys (test_key, incident, joined_at) VALUES (:test_key, :incident, :now)
ON CONFLICT (test_key) DO NOTHING

-- name: incident_of_key
SELECT incident FROM incident_keys WHERE test_key = :test_key

-- name: keys_of_incident
SELECT k.test_key FROM incident_keys k WHERE k.incident = :incident ORDER BY k.joined_at DESC, k.test_key

-- name: intent_of_key
SELECT intent FROM test_keys WHERE test_key = :test_key

-- name: open_incident_of
SELECT incident FROM incidents
WHERE indicator = :indicator AND intent = :intent AND deployment = :deployment AND state = 'open'
ORDER BY opened_at, incident

-- name: incidents
SELECT incident, test_key, indicator, intent, deployment, last_good, opened_at, state, evidence, stage, stage_at
FROM incidents ORDER BY opened_at, incident

-- name: incident
SELECT incident, test_key, indicator, intent, deployment, last_good, opened_at, state, evidence, stage, stage_at,
    measured_from, share_before,
    coalesce((SELECT k.episode FROM test_keys k WHERE k.test_key = incidents.test_key), 0) AS episode
FROM incidents WHERE incident = :incident

-- name: lock_incident
UPDATE incidents SET stage = stage WHERE incident = :incident RETURNING stage, state, stage_at

-- name: incidents_in_stages
SELECT i.incident, i.indicator, i.intent, i.deployment, i.last_good, i.opened_at, i.state, i.stage, i.stage_at,
    i.measured_from, i.share_before, o.state AS delivery, o.attempts, o.last_status
FROM incidents i JOIN outbox o ON o.incident = i.incident
WHERE i.stage IN :stages AND i.state = 'open' ORDER BY i.opened_at, i.incident

-- name: in_flight
SELECT incident FROM incidents WHERE stage IN ('sent', 'acknowledged') AND state = 'open'

-- name: sent_since
SELECT e.incident, i.intent, max(e.at) AS at FROM incident_events e JOIN incidents i ON i.incident = e.incident
WHERE e.to_stage = 'sent' AND e.at > :since GROUP BY e.incident, i.intent ORDER BY e.incident

-- name: approved_by
SELECT who FROM incident_events WHERE incident = :incident AND to_stage = 'approved' ORDER BY sequence DESC LIMIT 1

-- name: hold_turn
UPDATE meta SET value = value WHERE name = 'rollback_turn'

-- name: set_stage
UPDATE incidents SET stage = :stage, stage_at = :now WHERE incident = :incident

-- name: measure_from
UPDATE incidents SET measured_from = :event_time, share_before = :share WHERE incident = :incident

-- name: end_tests
UPDATE incidents SET measured_from = coalesce((
    SELECT max(c.last_at) FROM cells c
    WHERE (c.intent = incidents.intent OR incidents.intent = '*') AND c.deployment = incidents.deployment), 0)
WHERE incident = :incident

-- name: set_last_good
UPDATE incidents SET last_good = :last_good WHERE incident = :incident

-- name: breached_deployments
SELECT deployment FROM incidents WHERE (intent IN (:intent, '*') OR :intent = '*') AND state <> 'cancelled'

-- name: breached_keys
SELECT k.test_key FROM incident_keys k JOIN incidents i ON i.incident = k.incident WHERE i.state <> 'cancelled'

-- name: recent_traffic
SELECT r.bucket, sum(CASE WHEN s.deployment = :deployment THEN r.requests ELSE 0 END) AS own,
    sum(r.requests) AS requests
FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE (s.intent = :intent OR :intent = '*') AND s.served_by IN ('primary', 'cache') AND r.bucket > :since
GROUP BY r.bucket ORDER BY r.bucket DESC

-- name: insert_delivery
INSERT INTO outbox (delivery, incident, body, state, attempts, due_at, created_at, due_since, last_status)
VALUES (:delivery, :incident, :body, :state, 0, :due_at, :created_at, :created_at, '')

-- name: incident_deliveries
SELECT o.delivery, o.incident, o.state, o.attempts, o.last_status, o.due_at, (
    SELECT count(*) FROM incident_events e
    WHERE e.incident = o.incident AND e.what IN ('acknowledged', 'delivered', 'attempt failed')
) AS tried
FROM outbox o ORDER BY o.created_at, o.delivery

-- name: times_tried
SELECT count(*) FROM incident_events
WHERE incident = :incident AND what IN ('acknowledged', 'delivered', 'attempt failed')

-- name: move_deliveries
UPDATE outbox SET due_at = :now, due_since = :now, attempts = 0, owner = NULL,
    state = CASE WHEN CAST(:state AS TEXT) = 'cancelled' AND delivered_at IS NOT NULL THEN 'delivered'
        ELSE CAST(:state AS TEXT) END
WHERE incident = :incident AND state IN :states
RETURNING delivery

-- name: begin_delivery
UPDATE outbox SET due_since = :now WHERE incident = :incident AND state = 'due'

-- name: set_body
UPDATE outbox SET body = :body WHERE incident = :incident AND attempts = 0

-- name: set_incident_state
UPDATE incidents SET state = :state WHERE incident = :incident

-- name: insert_incident_event
INSERT INTO incident_events (incident, sequence, at, who, what, why, from_stage, to_stage)
SELECT :incident, coalesce(max(sequence), 0) + 1, :at, :who, :what, :why, :from_stage, :to_stage
FROM incident_events WHERE incident = :incident

-- name: incident_history
SELECT at, who, what, why, from_stage, to_stage FROM incident_events WHERE incident = :incident ORDER BY sequence

-- name: has_event
SELECT count(*) FROM incident_events WHERE incident = :incident AND what = :what

-- name: verified_without_rate
SELECT i.incident, i.intent, i.indicator, i.deployment, i.last_good, i.measured_from FROM incidents i
WHERE i.stage = 'verified' AND i.stage_at > :since AND NOT EXISTS (
    SELECT 1 FROM incident_events e WHERE e.incident = i.incident AND e.what = 'restored_rate')
ORDER BY i.incident

-- name: owner_of_incident
SELECT o.owner FROM incidents i JOIN test_keys k ON k.test_key = i.test_key
JOIN objectives o ON o.objective = k.objective WHERE i.incident = :incident

-- name: payloads_to_explain
SELECT request_id, payload, pruned FROM samples WHERE request_id IN :ids

-- name: verdicts_of_samples
SELECT request_id, evaluator, version, label, score, reason, decided FROM verdicts
WHERE indicator = :indicator AND request_id IN :ids ORDER BY request_id, decided DESC, evaluator

-- name: span_of_traffic
SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM cells
WHERE (intent = :intent OR :intent = '*') AND deployment = :deployment

-- name: heir
SELECT s.deployment FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE (s.intent = :intent OR :intent = '*') AND s.served_by IN ('primary', 'cache') AND r.bucket > :since AND s.deployment <> :deployment
GROUP BY s.deployment ORDER BY sum(r.requests) DESC, s.deployment LIMIT 1
