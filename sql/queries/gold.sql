-- name: sample_payloads
SELECT request_id, intent, payload FROM samples WHERE request_id IN :ids AND pruned = 0

-- name: insert_gold_case
INSERT INTO gold_cases (gold, indicator, intent, payload, created_at)
VALUES (:gold, :indicator, :intent, :payload, :created_at)
ON CONFLICT (gold) DO NOTHING

-- name: gold_cases
SELECT gold, intent, payload FROM gold_cases WHERE indicator = :indicator ORDER BY created_at, gold

-- name: gold_labels
SELECT gold, reviewer, value FROM gold_labels ORDER BY gold, reviewer

-- name: keep_gold_label
INSERT INTO gold_labels (gold, reviewer, value, note, made_at) VALUES (:gold, :reviewer, :value, :note, :made_at)
ON CONFLICT (gold, reviewer) DO UPDATE SET value = excluded.value, note = excluded.note, made_at = excluded.made_at

-- name: keep_release
INSERT INTO rubric_releases (name, version, content_hash, released_at, released_by, gate)
VALUES (:name, :version, :content_hash, :released_at, :released_by, :gate)
ON CONFLICT (name, version) DO NOTHING

-- name: releases
SELECT name, version, content_hash, released_at, released_by, gate FROM rubric_releases ORDER BY released_at, name, version

-- name: samples_to_rejudge
SELECT s.request_id, s.payload FROM samples s
LEFT JOIN shadow_verdicts v ON v.run = :run AND v.request_id = s.request_id AND v.indicator = :indicator
WHERE s.timestamp >= :since AND s.timestamp < :until AND s.state <> 'pending' AND s.pruned = 0 AND (s.intent = :intent OR :intent = '')
    AND v.request_id IS NULL AND s.request_id > :after
ORDER BY s.request_id LIMIT :most

-- name: insert_shadow
INSERT INTO shadow_verdicts (run, request_id, indicator, evaluator, version, content_hash, state, score, label,
    confidence, reason, judged_at)
VALUES (:run, :request_id, :indicator, :evaluator, :version, :content_hash, :state, :score, :label, :confidence,
    :reason, :judged_at)
ON CONFLICT (run, request_id, indicator) DO NOTHING

-- name: shadow_comparison
SELECT n.request_id, s.intent, n.score AS new_score, n.label AS new_label, o.score AS old_score, o.label AS old_label,
    n.reason, c.y, c.pi, c.reviewed, c.returned
FROM shadow_verdicts n
JOIN samples s ON s.request_id = n.request_id
JOIN verdicts o ON o.request_id = n.request_id AND o.indicator = n.indicator AND o.decided = 1
LEFT JOIN outcomes c ON c.request_id = n.request_id AND c.indicator = n.indicator
WHERE n.run = :run ORDER BY n.request_id
