-- name: segments_with_deployment
SELECT s.segment, s.intent, s.feature, s.deployment, s.cohort, s.experiment, s.served_by, d.model_version,
    d.prompt_version, d.retrieval_index
FROM segments s JOIN deployments d ON d.deployment = s.deployment

-- name: first_buckets
SELECT segment, min(bucket) AS bucket FROM rollup_5m WHERE bucket >= :since AND segment IN :segments GROUP BY segment

-- name: buckets_of_segments
SELECT r.bucket, r.requests, r.latency, CASE
    WHEN s.served_by = 'fallback' OR r.errors + r.timeouts + r.feedback_down > r.requests THEN r.requests
    ELSE r.errors + r.timeouts + r.feedback_down END AS bad
FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE r.bucket >= :since AND r.bucket < :until AND r.segment IN :segments

-- name: positives_by_segment
SELECT s.intent, s.timestamp / :block AS block, s.feature, s.deployment, s.cohort, s.experiment, d.model_version,
    d.prompt_version, d.retrieval_index, count(*) AS positives
FROM outcomes o JOIN samples s ON s.request_id = o.request_id JOIN deployments d ON d.deployment = s.deployment
WHERE o.indicator = :indicator AND o.y = 1 AND o.event_block >= :first AND o.reviewed = 1
    AND s.timestamp >= :since AND s.timestamp < :until
GROUP BY s.intent, s.timestamp / :block, s.feature, s.deployment, s.cohort, s.experiment, d.model_version,
    d.prompt_version, d.retrieval_index

-- name: samples_by_segment
SELECT s.intent, s.block, s.feature, s.deployment, s.cohort, s.experiment, s.samples, d.model_version,
    d.prompt_version, d.retrieval_index
FROM (SELECT intent, timestamp / :block AS block, feature, deployment, cohort, experiment, count(*) AS samples
    FROM samples WHERE intent IN :intents AND deployment IN :deployments AND timestamp >= :since AND timestamp < :until
        AND served_by IN :tiers
    GROUP BY intent, timestamp / :block, feature, deployment, cohort, experiment) s
JOIN deployments d ON d.deployment = s.deployment

-- name: keep_canary
INSERT INTO canaries (canary, name, deployment, started_at, state, evidence, breached_at)
VALUES (:canary, :name, :deployment, :started_at, :state, :evidence, :breached_at)
ON CONFLICT (canary) DO UPDATE SET evidence = excluded.evidence, state = excluded.state,
    breached_at = excluded.breached_at
WHERE canaries.state NOT IN ('breach', 'ended') AND canaries.started_at = excluded.started_at

-- name: canaries
SELECT c.canary, c.name, c.deployment, c.started_at, c.state, c.evidence, c.breached_at, d.model_version,
    d.prompt_version, d.retrieval_index
FROM canaries c JOIN deployments d ON d.deployment = c.deployment ORDER BY c.started_at, c.name

-- name: breached_canary
SELECT c.name FROM canaries c JOIN incident_keys k ON k.test_key = c.canary JOIN incidents i ON i.incident = k.incident
WHERE c.deployment = :deployment AND i.intent IN (:intent, '*') AND i.state <> 'cancelled' ORDER BY c.name LIMIT 1
