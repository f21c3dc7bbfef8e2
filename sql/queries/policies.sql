-- name: insert_objective
INSERT INTO objectives (objective, indicator, intent, theta0, alpha, false_positive_rate, owner, risk, created_at)
VALUES (:objective, :indicator, :intent, :theta0, :alpha, :false_positive_rate, :owner, :risk, :created_at)
ON CONFLICT (objective) DO NOTHING

-- name: lock_objectives
SELECT pg_advisory_xact_lock(7483920148)

-- name: newest_objective_number
SELECT max(objective) FROM objectives

-- name: objectives_in_force
SELECT objective, indicator, intent, theta0, alpha, false_positive_rate, owner, risk, created_at FROM objectives
WHERE objective IN (SELECT max(objective) FROM objectives GROUP BY indicator, intent)
ORDER BY indicator, intent

-- name: insert_policy
INSERT INTO policies (policy, indicator, intent, made_at, body) VALUES (:policy, :indicator, :intent, :made_at, :body)
ON CONFLICT (policy) DO NOTHING

-- name: traffic_of_intents
SELECT intent, block, sum(sampled) AS sampled, min(first_at) AS first_at, max(last_at) AS last_at
FROM cells GROUP BY intent, block ORDER BY intent, block

-- name: label_counts
SELECT k.intent, s.evaluator_hash, s.bin, s.block, sum(s.items) AS items, sum(s.returned) AS returned,
    sum(s.positives) AS positives
FROM rate_sums s JOIN test_keys k ON k.test_key = s.test_key
WHERE k.indicator = :indicator AND s.block >= :since
GROUP BY k.intent, s.evaluator_hash, s.bin, s.block
ORDER BY k.intent, s.evaluator_hash, s.bin, s.block

-- name: tell_objective
UPDATE objectives SET owner = :owner, risk = :risk WHERE objective = :objective
