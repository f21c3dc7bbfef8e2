-- name: segments_with_deployment
SELECT s.segment, s.intent, s.feature, s.deployment, s.cohort, s.experiment, s.served_by, d.model_version,
    d.prompt_version, d.retrieval_index
FROM segments s JOIN deployments d ON d.deployment = s.deployment

-- name: first_buckets
SELECT segment, min(bucket) AS bucket FROM rollup_5m WHERE bucket >= :since AND segment IN :segments GROUP BY segment

-- name: buckets_of_segments
SELECT bucket, segment, requests, errors, timeouts, feedback_down, latency
FROM rollup_5m WHERE bucket >= :since AND segment IN :segments

-- name: positives_by_segment
SELECT s.intent, s.feature, s.deployment, s.cohort, s.experiment, s.served_by, s.timestamp, d.model_version,
    d.prompt_version, d.retrieval_index
FROM outcomes o JOIN samples s ON s.request_id = o.request_id JOIN deployments d ON d.deployment = s.deployment
WHERE o.indicator = :indicator AND o.y = 1 AND o.reviewed = 1 AND s.timestamp >= :since

-- name: keep_canary
INSERT INTO canaries (canary, name, deployment, started_at, state, evidence, breached_at)
VALUES (:canary, :name, :deployment, :started_at, :state, :evidence, :breached_at)
ON CONFLICT (canary) DO UPDATE SET evidence = excluded.evidence, state = excluded.state,
    breached_at = excluded.breached_at
WHERE canaries.state <> 'breach'

-- name: canaries
SELECT c.canary, c.name, c.deployment, c.started_at, c.state, c.evidence, c.breached_at, d.model_version,
    d.prompt_version, d.retrieval_index
FROM canaries c JOIN deployments d ON d.deployment = c.deployment ORDER BY c.started_at, c.name
