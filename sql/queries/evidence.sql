-- name: samples_to_freeze
SELECT request_id, timestamp, intent, deployment, served_by, pi1 FROM samples WHERE request_id IN :ids

-- name: traffic_of_deployments
SELECT deployment, block, first_at, last_at, sampled, final FROM cells
WHERE intent = :intent AND deployment IN :deployments ORDER BY deployment, block

-- name: cells_between
SELECT block, sampled, final, last_at FROM cells
WHERE intent = :intent AND deployment = :deployment AND block BETWEEN :first AND :last ORDER BY block

-- The newest request is in the newest block.

-- name: newest_traffic
SELECT max(last_at) FROM cells WHERE block = (SELECT max(block) FROM cells)

-- name: newest_traffic_of_intents
WITH RECURSIVE names (intent) AS (
    SELECT min(intent) FROM cells
    UNION ALL
    SELECT (SELECT min(c.intent) FROM cells c WHERE c.intent > n.intent) FROM names n WHERE n.intent IS NOT NULL)
SELECT n.intent, (
    SELECT max(c.last_at) FROM cells c
    WHERE c.intent = n.intent AND c.block = (SELECT max(m.block) FROM cells m WHERE m.intent = n.intent)) AS last_at
FROM names n WHERE n.intent IN :intents

-- name: newest_traffic_of
SELECT max(last_at) FROM cells WHERE (intent = :intent OR :intent = '*') AND deployment = :deployment

-- name: first_traffic_of
SELECT min(first_at) FROM cells WHERE (intent = :intent OR :intent = '*') AND deployment = :deployment

-- name: keys_of
SELECT k.test_key, k.deployment, k.episode, k.objective, k.first_at, k.last_at, i.measured_from AS over_at
FROM test_keys k
LEFT JOIN incident_keys j ON j.test_key = k.test_key
LEFT JOIN incidents i ON i.incident = j.incident AND (i.stage IN ('verified', 'cancelled') OR i.state = 'cancelled')
WHERE k.indicator = :indicator AND k.intent = :intent AND k.deployment IN :deployments
ORDER BY k.deployment, k.episode

-- name: hold
SELECT pg_advisory_xact_lock(:id)

-- name: insert_key
INSERT INTO test_keys (test_key, indicator, intent, deployment, episode, objective, pi_ref, bets, first_block,
    first_at, last_at, read_block)
VALUES (:test_key, :indicator, :intent, :deployment, :episode, :objective, :pi_ref, :bets, :first_block, :first_at,
    :last_at, -1)
ON CONFLICT (test_key) DO NOTHING

-- name: lock_keys
WITH mine AS MATERIALIZED (
    SELECT test_key FROM test_keys WHERE test_key IN :test_keys /*postgresql ORDER BY test_key COLLATE "C" FOR UPDATE */)
UPDATE test_keys SET version = version + :step, behind_since = CASE
    WHEN CAST(:step AS BIGINT) > 0 AND (version = decided_version OR behind_since = 0) THEN :now ELSE behind_since END
WHERE test_key IN (SELECT test_key FROM mine)
RETURNING test_key, indicator, intent, deployment, episode, objective, pi_ref, bets, first_block, first_at, last_at,
    read_block, version, decided_version, log_e, max_log_e, escalated

-- name: stretch_key
UPDATE test_keys SET first_block = :first_block, first_at = :first_at, last_at = :last_at WHERE test_key = :test_key

-- name: all_keys
SELECT test_key, indicator, intent, deployment, episode, objective, pi_ref, bets, first_block, first_at, last_at,
    read_block, version, decided_version, log_e, max_log_e, escalated
FROM test_keys ORDER BY indicator, intent, deployment, episode

-- name: rules_of_keys
SELECT k.test_key, k.bets, o.theta0, o.alpha, o.false_positive_rate, o.owner, o.risk
FROM test_keys k JOIN objectives o ON o.objective = k.objective WHERE k.test_key IN :test_keys

-- name: keys_behind
SELECT test_key, intent FROM test_keys WHERE version > decided_version ORDER BY test_key

-- name: insert_outcome
INSERT INTO outcomes (request_id, indicator, test_key, event_block, test_block, evaluator_hash, bin, policy, pi1, u, f,
    pi, reviewed, why, calibration, spent)
VALUES (:request_id, :indicator, :test_key, :event_block, :test_block, :evaluator_hash, :bin, :policy, :pi1, :u, :f,
    :pi, :reviewed, :why, :calibration, :spent)

-- name: add_test_sums
INSERT INTO test_sums (test_key, block, s0, s1, s2, s3, s4, s5, s6, s7, positives)
VALUES (:test_key, :block, :s0, :s1, :s2, :s3, :s4, :s5, :s6, :s7, :positives)
ON CONFLICT (test_key, block) DO UPDATE SET
    s0 = test_sums.s0 + excluded.s0, s1 = test_sums.s1 + excluded.s1, s2 = test_sums.s2 + excluded.s2,
    s3 = test_sums.s3 + excluded.s3, s4 = test_sums.s4 + excluded.s4, s5 = test_sums.s5 + excluded.s5,
    s6 = test_sums.s6 + excluded.s6, s7 = test_sums.s7 + excluded.s7,
    positives = test_sums.positives + excluded.positives

-- name: add_rate_sums
INSERT INTO rate_sums (test_key, block, evaluator_hash, bin, flagged, items, reviewed, returned, positives, w, ww, p, q,
    g, wp, wq, wg, pp, pq, pg, qq, qg, gg, inverse_pi)
VALUES (:test_key, :block, :evaluator_hash, :bin, :flagged, :items, :reviewed, :returned, :positives, :w, :ww, :p, :q,
    :g, :wp, :wq, :wg, :pp, :pq, :pg, :qq, :qg, :gg, :inverse_pi)
ON CONFLICT (test_key, block, evaluator_hash, bin) DO UPDATE SET
    flagged = rate_sums.flagged + excluded.flagged, items = rate_sums.items + excluded.items,
    reviewed = rate_sums.reviewed + excluded.reviewed, returned = rate_sums.returned + excluded.returned,
    positives = rate_sums.positives + excluded.positives,
    w = rate_sums.w + excluded.w, ww = rate_sums.ww + excluded.ww, p = rate_sums.p + excluded.p,
    q = rate_sums.q + excluded.q, g = rate_sums.g + excluded.g, wp = rate_sums.wp + excluded.wp,
    wq = rate_sums.wq + excluded.wq, wg = rate_sums.wg + excluded.wg, pp = rate_sums.pp + excluded.pp,
    pq = rate_sums.pq + excluded.pq, pg = rate_sums.pg + excluded.pg, qq = rate_sums.qq + excluded.qq,
    qg = rate_sums.qg + excluded.qg, gg = rate_sums.gg + excluded.gg,
    inverse_pi = rate_sums.inverse_pi + excluded.inverse_pi

-- name: test_sums_of
SELECT block, s0, s1, s2, s3, s4, s5, s6, s7, positives FROM test_sums WHERE test_key = :test_key ORDER BY block

-- name: rate_sums_of
SELECT block, evaluator_hash, bin, flagged, items, reviewed, returned, positives, w, ww, p, q, g, wp, wq, wg, pp, pq,
    pg, qq, qg, gg, inverse_pi
FROM rate_sums WHERE test_key = :test_key AND block <= :last ORDER BY block, evaluator_hash, bin

-- name: record_decision
UPDATE test_keys SET read_block = :read_block, log_e = :log_e, max_log_e = :max_log_e, decided_version = :version,
    escalated = :escalated
WHERE test_key = :test_key

-- name: wishes
SELECT test_key, indicator, intent, deployment, episode, objective, pi_ref, bets, first_block, first_at, last_at,
    read_block, version, decided_version, log_e, max_log_e, escalated
FROM test_keys WHERE escalated = 1 ORDER BY test_key

-- A key that began later, and after it in event time too, takes what comes now.

-- name: later_key
SELECT n.test_key FROM test_keys k JOIN test_keys n ON n.indicator = k.indicator AND n.intent = k.intent
    AND n.deployment = k.deployment AND n.episode > k.episode AND n.first_at >= k.first_at
WHERE k.indicator = :indicator AND k.intent = :intent AND k.deployment = :deployment AND k.episode = :episode
ORDER BY n.episode LIMIT 1

-- name: end_wish
UPDATE test_keys SET escalated = 2 WHERE test_key = :test_key AND escalated = 1

-- name: confirmed_positives
SELECT request_id FROM outcomes WHERE test_key = :test_key AND y = 1 ORDER BY test_block DESC, request_id LIMIT :most

-- name: deployments_by_id
SELECT deployment, model_version, prompt_version, retrieval_index FROM deployments WHERE deployment IN :deployments

-- name: hourly_traffic
SELECT r.bucket / 12 AS hour, s.deployment, sum(r.requests) AS requests,
    sum(CASE WHEN s.experiment = '' THEN r.requests ELSE 0 END) AS outside
FROM rollup_5m r JOIN segments s ON s.segment = r.segment
WHERE (s.intent = :intent OR :intent = '*') AND s.served_by IN ('primary', 'cache') AND r.bucket >= :since
GROUP BY r.bucket / 12, s.deployment ORDER BY 1, 2

-- name: traffic_blocks
SELECT block, deployment, CAST(sum(requests) AS BIGINT) AS requests FROM cells
WHERE (intent = :intent OR :intent = '*') AND block >= :since GROUP BY block, deployment ORDER BY block, deployment

-- name: traffic_of_cells
SELECT intent, deployment, sum(requests) AS requests, sum(sampled) AS sampled, sum(final) AS final,
    min(first_at) AS first_at, max(last_at) AS last_at
FROM cells WHERE block >= :since GROUP BY intent, deployment ORDER BY intent, deployment

-- name: coverage
SELECT k.intent, sum(s.items) AS items, sum(CASE WHEN s.bin = :unscored THEN s.items ELSE 0 END) AS unscored
FROM rate_sums s JOIN test_keys k ON k.test_key = s.test_key
WHERE k.indicator = 'hallucination' AND s.block BETWEEN :first AND :last GROUP BY k.intent ORDER BY k.intent

-- name: settled_cells
SELECT intent, sum(sampled) AS sampled, sum(final) AS final FROM cells WHERE block BETWEEN :first AND :last
GROUP BY intent ORDER BY intent
