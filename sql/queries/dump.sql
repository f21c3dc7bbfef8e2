-- name: dump_quarantine
SELECT reason, sha256, length FROM quarantine

-- name: dump_rollup_5m
SELECT r.bucket, s.intent, s.feature, s.deployment, s.cohort, s.experiment, s.served_by, r.requests, r.errors,
    r.timeouts, r.feedback_up, r.feedback_neutral, r.feedback_down, r.input_tokens, r.output_tokens, r.cost_nano_usd,
    r.cost_unknown, r.latency, r.retrieval_latency
FROM rollup_5m r JOIN segments s ON s.segment = r.segment

-- name: dump_rollup_day
SELECT r.day, a.tenant, a.feature, a.intent, a.deployment, a.provider, r.requests, r.input_tokens, r.output_tokens,
    r.cost_nano_usd, r.cost_unknown
FROM rollup_day r JOIN accounts a ON a.account = r.account

-- name: dump_samples
SELECT request_id, sha256, timestamp, intent, deployment, served_by, tenant, feature, cohort, experiment, provider, pi1,
    plan, payload
FROM samples

-- name: dump_verdicts
SELECT request_id, indicator, evaluator, version, content_hash, score, label, confidence, reason FROM verdicts
WHERE asks = 0
