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

-- name: add_score_total
INSERT INTO score_totals (evaluator, scores, cached, unusable, calls, input_tokens, output_tokens, costs, cost_nano_usd,
    cost_unknown)
VALUES (:evaluator, :scores, :cached, :unusable, :calls, :input_tokens, :output_tokens, :costs, :cost_nano_usd,
    :cost_unknown)
ON CONFLICT (evaluator) DO UPDATE SET scores = score_totals.scores + excluded.scores,
    cached = score_totals.cached + excluded.cached, unusable = score_totals.unusable + excluded.unusable,
    calls = score_totals.calls + excluded.calls, input_tokens = score_totals.input_tokens + excluded.input_tokens,
    output_tokens = score_totals.output_tokens + excluded.output_tokens, costs = score_totals.costs + excluded.costs,
    cost_nano_usd = score_totals.cost_nano_usd + excluded.cost_nano_usd,
    cost_unknown = score_totals.cost_unknown + excluded.cost_unknown

-- name: add_decision_total
INSERT INTO decision_totals (evaluator, why, spent, samples) VALUES (:evaluator, :why, :spent, :samples)
ON CONFLICT (evaluator, why, spent) DO UPDATE SET samples = decision_totals.samples + excluded.samples

-- name: asked_evaluators
SELECT evaluator, scores, cached, unusable, calls, input_tokens, output_tokens,
    CASE WHEN costs > 0 THEN cost_nano_usd END AS cost_nano_usd, cost_unknown
FROM score_totals ORDER BY evaluator

-- name: decisions_by_step
SELECT evaluator, why, spent, samples FROM decision_totals ORDER BY evaluator, why, spent

-- name: judge_answered
DELETE FROM judge_failures WHERE judge = :judge

-- name: judge_failed
INSERT INTO judge_failures (judge, failures, calls, since, last_at, reason)
VALUES (:judge, :failures, :calls, :now, :now, :reason)
ON CONFLICT (judge) DO UPDATE SET failures = judge_failures.failures + excluded.failures,
    calls = judge_failures.calls + excluded.calls, last_at = excluded.last_at, reason = excluded.reason

-- name: judge_failures
SELECT judge, failures, calls, since, last_at, reason FROM judge_failures ORDER BY judge

-- name: failures_of_samples
SELECT request_id, failing, failures, failed_at, answers_then FROM samples WHERE request_id IN :ids AND state = 'pending'

-- name: answers_of_judges
SELECT evaluator, CAST(sum(answers) AS BIGINT) AS answers FROM judge_identities WHERE evaluator IN :judges
GROUP BY evaluator

-- name: samples_that_fail
SELECT count(*) FROM (
    SELECT request_id FROM samples WHERE state = 'pending' AND failing <> '' AND failing IN :failing LIMIT :most
) AS waiting

-- name: note_failure
UPDATE samples SET failing = :failing, failures = :failures, failed_at = :failed_at, answers_then = :answers_then
WHERE request_id = :request_id AND state = 'pending'

-- name: status_judge_failed
SELECT count(*) FROM outcomes WHERE why = 'judge_failed'
