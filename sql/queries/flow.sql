-- name: note_tick
INSERT INTO ticks (job, at, every, took, ticks, errors, error) VALUES (:job, :at, :every, :took, 1, :errors, :error)
ON CONFLICT (job) DO UPDATE SET at = excluded.at, every = excluded.every, took = excluded.took,
    ticks = ticks.ticks + 1, errors = ticks.errors + excluded.errors, error = excluded.error

-- name: forget_ticks
DELETE FROM ticks WHERE job <> '' AND job NOT IN (SELECT job FROM streams)

-- name: note_lag
INSERT INTO source_lag (source, place, amount, unit, seen_at) VALUES (:source, :place, :amount, :unit, :seen_at)
ON CONFLICT (source, place) DO UPDATE SET amount = excluded.amount, seen_at = excluded.seen_at

-- name: forget_lag
DELETE FROM source_lag WHERE source = :source AND seen_at < :before

-- name: add_timing
INSERT INTO timings (kind, bucket, observations, total, units) VALUES (:kind, :bucket, :observations, :total, :units)
ON CONFLICT (kind, bucket) DO UPDATE SET observations = timings.observations + excluded.observations,
    total = timings.total + excluded.total, units = timings.units + excluded.units

-- name: use_judges
UPDATE owners SET in_flight = :in_flight, at_once = :at_once WHERE owner = :owner

-- name: flow_timings
SELECT kind, bucket, observations, total, units FROM timings ORDER BY kind, bucket

-- name: flow_streams
SELECT s.job, s.runner, s.submitted_at, s.stopping, s.failed, t.at, t.every, t.took, t.ticks, t.errors, t.error
FROM streams s LEFT JOIN ticks t ON t.job = s.job ORDER BY s.submitted_at, s.job

-- name: flow_run
SELECT at, every, took, ticks, errors, error FROM ticks WHERE job = ''

-- name: flow_source_lag
SELECT source, max(unit) AS unit, sum(amount) AS amount, count(*) AS places FROM source_lag
WHERE amount > 0 GROUP BY source ORDER BY source

-- name: flow_sources
SELECT DISTINCT source FROM generations WHERE state <> 'gone' ORDER BY source

-- name: flow_blocks
SELECT g.source, max(CASE WHEN g.encoding = 'kafka' THEN 'offsets' ELSE 'bytes' END) AS unit, count(*) AS blocks,
    sum(b.stop - b.start) AS amount, min(b.planned_at) AS oldest
FROM blocks b JOIN generations g ON g.generation = b.generation
WHERE b.state = 'planned' GROUP BY g.source ORDER BY g.source

-- name: flow_pending
SELECT count(*) AS waiting, min(ingested_at) AS oldest FROM samples WHERE state = 'pending' AND ingested_at >= 0

-- name: flow_undecided
SELECT count(*) AS waiting, min(k.behind_since) AS oldest FROM test_keys k
WHERE k.version > k.decided_version AND NOT EXISTS (
    SELECT 1 FROM stops s
    WHERE s.intent IN (k.intent, '*') AND s.lifted_at IS NULL AND (s.until IS NULL OR s.until > :now))

-- name: flow_undelivered
SELECT count(*) AS waiting, min(o.created_at) AS oldest FROM outbox o JOIN incidents i ON i.incident = o.incident
WHERE o.state = 'due' AND i.stage NOT IN ('proposed', 'approved')

-- name: flow_records
SELECT sum(records + blanks) FROM blocks WHERE done_at > :since

-- name: flow_verdicts
SELECT sum(decided) AS verdicts, sum(calls) AS calls FROM verdicts WHERE judged_at > :since
