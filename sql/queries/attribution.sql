-- name: deployments_of_intent
SELECT c.deployment, d.model_version, d.prompt_version, d.retrieval_index, min(c.first_at) AS first_at,
    max(c.last_at) AS last_at, sum(c.sampled) AS sampled
FROM cells c JOIN deployments d ON d.deployment = c.deployment
WHERE c.intent = :intent
GROUP BY c.deployment, d.model_version, d.prompt_version, d.retrieval_index
ORDER BY min(c.first_at), c.deployment

-- name: findings_of_intent
SELECT k.deployment, o.event_block AS block, o.evaluator_hash, o.bin, s.cohort, s.tenant, s.feature, s.experiment,
    count(*) AS items, sum(o.pi) AS pi, sum(1.0 / o.pi1) AS exposure, sum(o.reviewed) AS reviewed,
    sum(o.reviewed * o.returned) AS returned, sum(o.reviewed * o.y / (o.pi * o.pi1)) AS found,
    sum(o.reviewed * o.y / (o.pi * o.pi1) / (o.pi * o.pi1)) AS squares, sum(o.reviewed * o.y) AS positives
FROM outcomes o
JOIN test_keys k ON k.test_key = o.test_key
JOIN samples s ON s.request_id = o.request_id
WHERE k.indicator = :indicator AND k.intent = :intent AND o.indicator = :indicator AND o.event_block >= :since
    AND o.pi > 0
GROUP BY k.deployment, o.event_block, o.evaluator_hash, o.bin, s.cohort, s.tenant, s.feature, s.experiment
ORDER BY k.deployment, o.event_block, o.evaluator_hash, o.bin, s.cohort, s.tenant, s.feature, s.experiment

-- name: rate_sums_of_intent
SELECT k.deployment, s.block, s.evaluator_hash, s.bin, s.items, s.reviewed, s.returned, s.positives, s.w, s.ww, s.p,
    s.q, s.g, s.wp, s.wq, s.wg, s.pp, s.pq, s.pg, s.qq, s.qg, s.gg, s.inverse_pi
FROM rate_sums s JOIN test_keys k ON k.test_key = s.test_key
WHERE k.indicator = :indicator AND k.intent = :intent AND s.block >= :since
ORDER BY k.deployment, s.block, s.evaluator_hash, s.bin
