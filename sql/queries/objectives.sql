-- name: insert_objective_change
INSERT INTO objective_changes (objective, sequence, changed_at, what, old, new)
SELECT :objective, coalesce(max(sequence) + 1, 0), :now, :what, :old, :new FROM objective_changes
WHERE objective = :objective

-- name: objective_versions
SELECT objective, indicator, intent, theta0, alpha, false_positive_rate, owner, risk, window_text, threshold_ms,
    created_at
FROM objectives ORDER BY indicator, intent, objective

-- name: objective_changes
SELECT objective, sequence, changed_at, what, old, new FROM objective_changes ORDER BY objective, sequence

-- name: keys_of_intent
SELECT test_key, objective, first_block, version FROM test_keys WHERE indicator = :indicator AND intent = :intent
ORDER BY test_key

-- name: labels_of_intents
SELECT k.intent, sum(s.returned) AS returned, sum(s.positives) AS positives
FROM test_keys k JOIN rate_sums s ON s.test_key = k.test_key WHERE k.indicator = :indicator
GROUP BY k.intent ORDER BY k.intent

-- name: intents_with_experiments
SELECT DISTINCT intent FROM segments WHERE experiment <> '' ORDER BY intent

-- name: intents_of_segments
SELECT DISTINCT intent FROM segments ORDER BY intent

-- name: ticket_is_open
SELECT 1 AS found FROM tickets WHERE ticket = :ticket AND state = 'open'

-- name: settled_blocks
SELECT block, sum(sampled) AS sampled, sum(final) AS final FROM cells
WHERE intent = :intent AND block BETWEEN :first AND :last GROUP BY block ORDER BY block

-- name: burn_items
SELECT o.test_block AS block, o.f, o.pi, o.u, o.reviewed, o.y, count(*) AS items
FROM test_keys k JOIN outcomes o ON o.test_key = k.test_key JOIN samples s ON s.request_id = o.request_id
WHERE k.indicator = :indicator AND k.intent = :intent AND k.objective = :objective AND o.indicator = :indicator
    AND o.test_block BETWEEN :first AND :last AND s.experiment = ''
GROUP BY o.test_block, o.f, o.pi, o.u, o.reviewed, o.y

-- name: budget_rates
SELECT s.test_key, k.deployment, '' AS cohort, '' AS experiment, s.block, s.evaluator_hash, s.bin, s.items, s.reviewed,
    s.returned, s.positives, s.w, s.ww, s.p, s.q, s.g, s.wp, s.wq, s.wg, s.pp, s.pq, s.pg, s.qq, s.qg, s.gg,
    s.inverse_pi
FROM test_keys k JOIN rate_sums s ON s.test_key = k.test_key
WHERE k.indicator = :indicator AND k.intent = :intent AND s.block BETWEEN :first AND :last

-- name: segment_items
SELECT o.test_key, k.deployment, s.cohort, s.experiment, o.event_block AS block, o.evaluator_hash, o.bin, o.f, o.pi,
    o.pi1, o.reviewed, o.returned, o.y, count(*) AS items
FROM test_keys k JOIN outcomes o ON o.test_key = k.test_key JOIN samples s ON s.request_id = o.request_id
WHERE k.indicator = :indicator AND k.intent = :intent AND o.indicator = :indicator
    AND o.event_block BETWEEN :first AND :last
GROUP BY o.test_key, k.deployment, s.cohort, s.experiment, o.event_block, o.evaluator_hash, o.bin, o.f, o.pi, o.pi1,
    o.reviewed, o.returned, o.y

-- name: keep_budget_day
INSERT INTO budget_days (indicator, intent, day, seen, allowed, requests, rate, low, high, used, used_low, used_high,
    burn_rate, days_left, as_of, burning)
VALUES (:indicator, :intent, :day, :seen, :allowed, :requests, :rate, :low, :high, :used, :used_low, :used_high,
    :burn_rate, :days_left, :as_of, :burning)
ON CONFLICT (indicator, intent, day) DO UPDATE SET seen = excluded.seen, allowed = excluded.allowed,
    requests = excluded.requests, rate = excluded.rate, low = excluded.low, high = excluded.high, used = excluded.used,
    used_low = excluded.used_low, used_high = excluded.used_high, burn_rate = excluded.burn_rate,
    days_left = excluded.days_left, as_of = excluded.as_of, burning = excluded.burning

-- name: newest_budgets
SELECT b.indicator, b.intent, b.day, b.seen, b.allowed, b.requests, b.rate, b.low, b.high, b.used, b.used_low,
    b.used_high, b.burn_rate, b.days_left, b.as_of, b.burning
FROM budget_days b
JOIN (SELECT indicator, intent, max(day) AS day FROM budget_days GROUP BY indicator, intent) n
    ON n.indicator = b.indicator AND n.intent = b.intent AND n.day = b.day
ORDER BY b.indicator, b.intent

-- name: budget_history
SELECT indicator, intent, day, allowed, requests, rate, low, high, used, used_low, used_high, burn_rate, days_left,
    as_of, burning
FROM budget_days ORDER BY indicator, intent, day

-- name: counted_hours
SELECT s.intent, s.cohort, s.experiment, r.bucket / :width AS hour, sum(r.requests) AS requests,
    sum(r.errors + r.timeouts) AS failed, sum(r.feedback_down) AS disliked,
    sum(CASE WHEN s.served_by = 'fallback' THEN r.requests ELSE 0 END) AS fallbacks,
    sum(CASE WHEN s.served_by = 'fallback' THEN r.errors + r.timeouts ELSE 0 END) AS fallbacks_failed,
    sum(CASE WHEN s.served_by = 'fallback' THEN r.feedback_down ELSE 0 END) AS fallbacks_disliked
FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE r.bucket >= :since GROUP BY 1, 2, 3, 4

-- name: latency_hours
SELECT hour, cohort, experiment, requests, measured, slow FROM latency_hours
WHERE intent = :intent AND threshold_ms = :threshold_ms AND hour >= :since

-- name: latencies
SELECT s.cohort, s.experiment, r.bucket / 12 AS hour, r.requests, r.latency
FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE s.intent = :intent AND r.bucket BETWEEN :first AND :last

-- name: keep_latency_hour
INSERT INTO latency_hours (intent, threshold_ms, hour, cohort, experiment, requests, measured, slow)
VALUES (:intent, :threshold_ms, :hour, :cohort, :experiment, :requests, :measured, :slow)
ON CONFLICT (intent, threshold_ms, hour, cohort, experiment) DO UPDATE SET requests = excluded.requests,
    measured = excluded.measured, slow = excluded.slow

-- name: newest_deployment
SELECT deployment FROM cells WHERE intent = :intent GROUP BY deployment ORDER BY min(first_at) DESC, deployment LIMIT 1

-- name: open_tickets
SELECT kind, owner, count(*) AS tickets FROM tickets WHERE state = 'open' GROUP BY kind, owner ORDER BY kind, owner

-- name: incidents_by_state
SELECT indicator, intent, state, count(*) AS incidents FROM incidents GROUP BY indicator, intent, state
ORDER BY indicator, intent, state

-- name: deliveries_by_state
SELECT state, count(*) AS deliveries FROM outbox GROUP BY state ORDER BY state
