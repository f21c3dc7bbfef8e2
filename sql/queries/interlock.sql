-- name: newest_gold_stream
SELECT stream, began_at, cases FROM gold_streams ORDER BY stream DESC LIMIT 1

-- name: insert_gold_stream
INSERT INTO gold_streams (stream, began_at, cases) VALUES (:stream, :began_at, :cases) ON CONFLICT (stream) DO NOTHING

-- name: newest_gold_runs
SELECT max(ordinal) AS ordinal, max(asked_at) AS asked_at FROM gold_runs WHERE stream = :stream

-- name: insert_gold_run
INSERT INTO gold_runs (run, stream, ordinal, gold, truth, asked_at)
VALUES (:run, :stream, :ordinal, :gold, :truth, :asked_at)
ON CONFLICT DO NOTHING RETURNING run

-- name: gold_payloads
SELECT gold, payload FROM gold_cases WHERE gold IN :ids

-- name: insert_gold_answer
INSERT INTO gold_answers (run, evaluator, evaluator_hash, said, answered_at)
VALUES (:run, :evaluator, :evaluator_hash, :said, :answered_at)
ON CONFLICT (run, evaluator_hash) DO NOTHING

-- name: gold_answers
SELECT a.evaluator, a.evaluator_hash, r.truth, a.said, r.asked_at
FROM gold_answers a JOIN gold_runs r ON r.run = a.run
WHERE r.stream = :stream ORDER BY a.evaluator_hash, r.ordinal

-- name: evaluator_versions
SELECT content_hash, name, version FROM artifacts WHERE kind = 'evaluator'

-- name: add_judge_identity
INSERT INTO judge_identities (evaluator_hash, block, identity, evaluator, answers)
VALUES (:evaluator_hash, :block, :identity, :evaluator, :answers)
ON CONFLICT (evaluator_hash, block, identity) DO UPDATE SET answers = judge_identities.answers + excluded.answers

-- name: judge_identities
SELECT evaluator_hash, evaluator, block, identity, answers FROM judge_identities ORDER BY evaluator_hash, block, identity

-- name: recent_scores
SELECT evaluator_hash, sum(items) AS items, sum(CASE WHEN bin = :unscored THEN items ELSE 0 END) AS unscored
FROM rate_sums WHERE block >= :first GROUP BY evaluator_hash

-- name: surprise
SELECT s.evaluator_hash, a.name, sum(s.returned) AS returned, sum(s.positives) AS positives, sum(s.q) AS q,
    sum(s.g) AS g, sum(s.qq) AS qq, sum(s.qg) AS qg, sum(s.gg) AS gg
FROM rate_sums s JOIN artifacts a ON a.content_hash = s.evaluator_hash AND a.kind = 'evaluator'
WHERE s.block >= :first GROUP BY s.evaluator_hash, a.name ORDER BY s.evaluator_hash

-- name: settled_samples
SELECT sum(sampled) AS sampled, sum(final) AS final FROM cells WHERE block >= :first AND block <= :last

-- name: trip_interlock
INSERT INTO interlocks (evaluator_hash, tripped_at, evaluator, kind, evidence)
SELECT :evaluator_hash, :tripped_at, :evaluator, :kind, :evidence
WHERE NOT EXISTS (SELECT 1 FROM interlocks WHERE evaluator_hash = :evaluator_hash AND released_at IS NULL)
ON CONFLICT DO NOTHING

-- name: release_interlock
UPDATE interlocks SET released_at = :now, released_by = :who, why = :why
WHERE evaluator_hash = :evaluator_hash AND released_at IS NULL

-- name: interlocks
SELECT evaluator_hash, tripped_at, evaluator, kind, evidence, released_at, released_by, why
FROM interlocks ORDER BY tripped_at, evaluator_hash

-- name: open_interlocks
SELECT evaluator_hash, evaluator, kind, tripped_at, evidence FROM interlocks WHERE released_at IS NULL

-- name: last_releases
SELECT evaluator_hash, max(released_at) AS released_at FROM interlocks
WHERE released_at IS NOT NULL GROUP BY evaluator_hash

-- name: insert_stop
INSERT INTO stops (intent, made_at, who, why, until) VALUES (:intent, :made_at, :who, :why, :until)

-- name: lift_stops
UPDATE stops SET lifted_at = :now, lifted_by = :who
WHERE intent = :intent AND lifted_at IS NULL AND (until IS NULL OR until > :now)

-- name: stops_in_force
SELECT intent, made_at, who, why, until FROM stops
WHERE lifted_at IS NULL AND (until IS NULL OR until > :now) ORDER BY intent, made_at

-- name: stopped_until
SELECT max(coalesce(lifted_at, until)) FROM stops
WHERE intent IN (:intent, '*') AND coalesce(lifted_at, until) <= :now

-- name: all_stops
SELECT intent, made_at, who, why, until, lifted_at, lifted_by FROM stops ORDER BY made_at, intent
