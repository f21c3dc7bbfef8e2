-- name: insert_objective
INSERT INTO objectives (objective, indicator, intent, theta0, alpha, false_positive_rate, owner, risk, window_text,
    threshold_ms, created_at)
VALUES (:objective, :indicator, :intent, :theta0, :alpha, :false_positive_rate, :owner, :risk, :window_text,
    :threshold_ms, :created_at)
ON CONFLICT (objective) DO NOTHING

-- name: lock_objectives
SELECT pg_advisory_xact_lock(7483920149)

-- name: newest_objective_number
SELECT max(objective) FROM objectives

-- name: objectives_in_force
SELECT objective, indicator, intent, theta0, alpha, false_positive_rate, owner, risk, window_text, threshold_ms,
    created_at
FROM objectives
WHERE objective IN (SELECT max(objective) FROM objectives GROUP BY indicator, intent)
ORDER BY indicator, intent

-- name: insert_policy
INSERT INTO policies (policy, indicator, intent, made_at, body) VALUES (:policy, :indicator, :intent, :made_at, :body)
ON CONFLICT (policy) DO NOTHING

-- The first block of each intent and its newest ones. Names are found one after the other in the index, however many
-- blocks each of them has.

-- name: traffic_of_intents
WITH RECURSIVE names (intent) AS (
    SELECT min(intent) FROM cells
    UNION ALL
    SELECT (SELECT min(c.intent) FROM cells c WHERE c.intent > n.intent) FROM names n WHERE n.intent IS NOT NULL),
wanted AS (
    SELECT intent, (SELECT min(c.block) FROM cells c WHERE c.intent = n.intent) AS first_block,
        (SELECT max(c.block) FROM cells c WHERE c.intent = n.intent) - :blocks + 1 AS since
    FROM names n WHERE intent IN :intents)
SELECT c.intent, c.block, sum(c.sampled) AS sampled, min(c.first_at) AS first_at, max(c.last_at) AS last_at
FROM wanted w JOIN cells c ON c.intent = w.intent AND c.block >= w.since
GROUP BY c.intent, c.block
UNION ALL
SELECT c.intent, c.block, sum(c.sampled), min(c.first_at), max(c.last_at)
FROM wanted w JOIN cells c ON c.intent = w.intent AND c.block = w.first_block
WHERE w.first_block < w.since
GROUP BY c.intent, c.block
ORDER BY 1, 2

-- name: label_counts
SELECT k.intent, s.evaluator_hash, s.bin, s.block, sum(s.items) AS items, sum(s.returned) AS returned,
    sum(s.positives) AS positives
FROM rate_sums s JOIN test_keys k ON k.test_key = s.test_key
WHERE k.indicator = :indicator AND s.block >= :since
GROUP BY k.intent, s.evaluator_hash, s.bin, s.block
ORDER BY k.intent, s.evaluator_hash, s.bin, s.block

-- name: tell_objective
UPDATE objectives SET owner = :owner, risk = :risk, window_text = :window_text WHERE objective = :objective

-- name: snapshots_of
SELECT s.intent, s.made_at, p.body FROM snapshots s JOIN policies p ON p.policy = s.policy
WHERE s.indicator = :indicator AND s.intent IN :intents ORDER BY s.intent

-- name: put_snapshot
INSERT INTO snapshots (indicator, intent, policy, at, made_at, s, bucket, capacity, log_m, deployment, since)
VALUES (:indicator, :intent, :policy, :at, :made_at, :s, :bucket, :capacity, :log_m, :deployment, :since)
ON CONFLICT (indicator, intent) DO UPDATE SET policy = excluded.policy, at = excluded.at, made_at = excluded.made_at,
    s = excluded.s, bucket = excluded.bucket, capacity = excluded.capacity, log_m = excluded.log_m,
    deployment = excluded.deployment, since = excluded.since

-- name: surges
SELECT s.intent, s.s, s.bucket, s.capacity, s.log_m, s.deployment, s.since, o.alpha
FROM snapshots s JOIN objectives o ON o.objective =
    (SELECT max(n.objective) FROM objectives n WHERE n.indicator = s.indicator AND n.intent = s.intent)
WHERE s.indicator = :indicator ORDER BY s.intent

-- name: running_evidence
SELECT k.intent, k.deployment, k.log_e, k.last_at FROM test_keys k
WHERE k.indicator = :indicator AND k.intent IN :intents AND NOT EXISTS
    (SELECT 1 FROM incident_keys j WHERE j.test_key = k.test_key)
ORDER BY k.intent, k.log_e DESC, k.deployment
