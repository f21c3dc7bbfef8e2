-- name: cached_scores
SELECT evaluator_hash, body FROM verdict_cache WHERE content = :content AND evaluator_hash IN :hashes

-- name: cache_score
INSERT INTO verdict_cache (evaluator_hash, content, body, made_at) VALUES (:evaluator_hash, :content, :body, :made_at)
ON CONFLICT (evaluator_hash, content) DO NOTHING

-- name: forget_scores
DELETE FROM verdict_cache WHERE made_at < :before

-- name: open_budget
INSERT INTO budgets (judge, day, calls, tokens, nano_usd) VALUES (:judge, :day, 0, 0, 0) ON CONFLICT (judge, day) DO NOTHING

-- name: reserve_budget
UPDATE budgets SET calls = calls + :calls, tokens = tokens + :tokens, nano_usd = nano_usd + :nano_usd
WHERE judge = :judge AND day = :day AND calls + :calls <= :most_calls AND tokens + :tokens <= :most_tokens
    AND nano_usd + :nano_usd <= :most_nano_usd
RETURNING judge

-- name: return_budget
UPDATE budgets SET calls = calls - :calls, tokens = tokens - :tokens, nano_usd = nano_usd - :nano_usd
WHERE judge = :judge AND day = :day

-- name: budgets_of_day
SELECT judge, calls, tokens, nano_usd FROM budgets WHERE day = :day ORDER BY judge

-- name: capabilities
SELECT body FROM capabilities WHERE base_url = :base_url AND model = :model

-- name: keep_capabilities
INSERT INTO capabilities (base_url, model, body, learnt_at) VALUES (:base_url, :model, :body, :now)
ON CONFLICT (base_url, model) DO UPDATE SET body = excluded.body, learnt_at = excluded.learnt_at

-- name: labelled_scores
SELECT o.request_id, s.intent, v.evaluator, v.version, v.content_hash, v.score, v.label, v.asks, o.y, o.pi, o.event_block
FROM outcomes o
JOIN verdicts v ON v.request_id = o.request_id AND v.indicator = o.indicator
JOIN samples s ON s.request_id = o.request_id
WHERE o.indicator = :indicator AND o.reviewed = 1 AND o.returned = 1 AND o.event_block >= :since
    AND v.score IS NOT NULL
ORDER BY o.event_block, o.request_id, v.evaluator

-- name: keep_calibration
INSERT INTO calibrations (calibration, indicator, made_at, labels, body)
VALUES (:calibration, :indicator, :made_at, :labels, :body)
ON CONFLICT (calibration) DO NOTHING

-- name: newest_calibration
SELECT calibration, made_at, labels, body FROM calibrations
WHERE indicator = :indicator ORDER BY made_at DESC, calibration LIMIT 1

-- name: asked_evaluators
SELECT evaluator, count(*) AS scores, sum(CASE WHEN answered_by = 'cache' THEN 1 ELSE 0 END) AS cached,
    sum(CASE WHEN score IS NULL THEN 1 ELSE 0 END) AS unusable, sum(calls) AS calls,
    sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost_nano_usd) AS cost_nano_usd,
    sum(CASE WHEN calls > 0 AND cost_nano_usd IS NULL THEN 1 ELSE 0 END) AS cost_unknown
FROM verdicts WHERE asks = 1 GROUP BY evaluator ORDER BY evaluator

-- name: decisions_by_step
SELECT v.evaluator, o.why, o.spent, count(*) AS samples
FROM outcomes o JOIN verdicts v ON v.request_id = o.request_id AND v.indicator = o.indicator
WHERE v.decided = 1 AND v.score IS NOT NULL GROUP BY v.evaluator, o.why, o.spent ORDER BY v.evaluator, o.why, o.spent

-- name: judge_answered
DELETE FROM judge_failures WHERE judge = :judge

-- name: judge_failed
INSERT INTO judge_failures (judge, failures, calls, since, last_at, reason)
VALUES (:judge, :failures, :calls, :now, :now, :reason)
ON CONFLICT (judge) DO UPDATE SET failures = judge_failures.failures + excluded.failures,
    calls = judge_failures.calls + excluded.calls, last_at = excluded.last_at, reason = excluded.reason

-- name: judge_failures
SELECT judge, failures, calls, since, last_at, reason FROM judge_failures ORDER BY judge
