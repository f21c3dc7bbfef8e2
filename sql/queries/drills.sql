-- name: drill_material
SELECT s.payload FROM samples s
JOIN verdicts v ON v.request_id = s.request_id AND v.decided = 1
JOIN outcomes o ON o.request_id = s.request_id AND o.indicator = v.indicator
WHERE s.intent = :intent AND s.pruned = 0 AND v.indicator = 'hallucination' AND v.label = 'faithful' AND o.y = 0
ORDER BY s.timestamp DESC, s.request_id LIMIT :most

-- name: traffic_of_intent
SELECT sum(requests) AS requests, sum(sampled) AS sampled, min(first_at) AS first_at, max(last_at) AS last_at
FROM cells WHERE intent = :intent AND block >= :since

-- name: keep_drill
INSERT INTO drills (drill, intent, began_at, passed, report) VALUES (:drill, :intent, :began_at, :passed, :report)

-- name: drills
SELECT drill, intent, began_at, passed, report FROM drills ORDER BY began_at, drill
