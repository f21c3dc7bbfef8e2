-- name: lock_planner
SELECT pg_advisory_xact_lock(7483920148)

-- name: beat
INSERT INTO owners (owner, job, host, pid, pid_started, heartbeat_at)
VALUES (:owner, :job, :host, :pid, :pid_started, :now)
ON CONFLICT (owner) DO UPDATE SET heartbeat_at = excluded.heartbeat_at

-- name: leave
DELETE FROM owners WHERE owner = :owner

-- name: forget_owners
DELETE FROM owners WHERE heartbeat_at < :before

-- name: owners
SELECT owner, job, host, pid, pid_started, heartbeat_at, in_flight, at_once FROM owners

-- name: generations
SELECT * FROM generations WHERE source = :source AND state <> 'gone' ORDER BY created_at, generation

-- name: generations_at
SELECT * FROM generations WHERE source = :source AND path = :path AND state <> 'gone' ORDER BY created_at, generation

-- name: sources_at
SELECT DISTINCT source FROM generations WHERE path = :path AND state <> 'gone'

-- name: generations_of_others
SELECT * FROM generations WHERE source NOT IN :sources AND state <> 'gone' ORDER BY created_at, generation

-- name: gone_generations
SELECT * FROM generations WHERE source = :source AND state = 'gone' AND planned_to > 0
ORDER BY created_at DESC, generation LIMIT :most

-- name: adopt_generation
UPDATE generations SET source = :source, state = 'live' WHERE generation = :generation

-- name: insert_generation
INSERT INTO generations (generation, source, path, encoding, inode, prefix_length, prefix_hash, tail_length, tail_hash,
    planned_to, size_seen, unchanged_since, state, created_at)
VALUES (:generation, :source, :path, :encoding, :inode, :prefix_length, :prefix_hash, :tail_length, :tail_hash,
    :planned_to, :size_seen, :unchanged_since, 'live', :created_at)

-- name: note_generation
UPDATE generations SET path = :path, encoding = :encoding, inode = :inode, size_seen = :size_seen,
    unchanged_since = :unchanged_since
WHERE generation = :generation

-- name: advance_generation
UPDATE generations SET planned_to = :planned_to, prefix_length = :prefix_length, prefix_hash = :prefix_hash,
    tail_length = :tail_length, tail_hash = :tail_hash
WHERE generation = :generation AND planned_to = :expected
RETURNING generation

-- name: insert_block
INSERT INTO blocks (generation, start, stop, state, planned_at) VALUES (:generation, :start, :stop, 'planned', :planned_at)

-- name: stretch_block
UPDATE blocks SET stop = :stop, planned_at = :planned_at, free_at = 0
WHERE generation = :generation AND start = :start AND stop = :expected AND state = 'planned'
    AND (owner IS NULL OR owner NOT IN :live OR free_at <= :planned_at)
RETURNING generation

-- name: open_blocks
SELECT generation, start, stop FROM blocks WHERE generation = :generation AND state = 'planned' ORDER BY start

-- name: first_open_blocks
SELECT b.generation, min(b.start) AS start FROM blocks b JOIN generations g ON g.generation = b.generation
WHERE b.state = 'planned' AND g.source = :source AND g.state <> 'gone'
GROUP BY b.generation

-- name: open_blocks_before
SELECT start, stop, planned_at FROM blocks
WHERE generation = :generation AND state = 'planned' AND start < :before
    AND (owner IS NULL OR owner NOT IN :live OR free_at <= :now)
ORDER BY start /*postgresql FOR UPDATE */

-- name: lose_block
UPDATE blocks SET state = 'lost', stop = :stop, reason = :reason, owner = NULL, done_at = :now
WHERE generation = :generation AND start = :start AND state = 'planned'

-- name: lose_blocks
WITH open AS MATERIALIZED (
    SELECT start FROM blocks WHERE generation = :generation AND state = 'planned' /*postgresql ORDER BY start FOR UPDATE */)
UPDATE blocks SET state = 'lost', reason = :reason, owner = NULL, done_at = :now
WHERE generation = :generation AND state = 'planned' AND start IN (SELECT start FROM open)
RETURNING start, stop

-- name: retire_generation
UPDATE generations SET state = 'gone' WHERE generation = :generation

-- What is in work has an owner and a time until which nobody else takes it while the owner lives. A time further away
-- than any lease was written by a clock that was set back meanwhile. (PostgreSQL may run a subquery more than once, and
-- one that locks then finds more each time: hence the MATERIALIZED ones.)

-- A block that could not be read has no owner and a place in line: `free_at`, as if it were planned only then. It keeps
-- nobody from what is planned meanwhile, and does not wait without end for what is planned later. Without `again` it is
-- not taken before its place.

-- name: claim_blocks
WITH free AS MATERIALIZED (
    SELECT b.generation, b.start FROM blocks b JOIN generations g ON g.generation = b.generation
    WHERE b.state = 'planned' AND b.planned_at <= :planned_by AND b.sweep <> :sweep
        AND (b.owner IS NULL OR b.owner NOT IN :live OR b.free_at <= :now OR b.free_at BETWEEN :horizon AND :never - 1)
        AND (:again = 1 OR b.owner IS NOT NULL OR b.free_at <= b.planned_at OR b.free_at <= :now)
    ORDER BY CASE WHEN b.owner IS NULL AND b.free_at > b.planned_at THEN b.free_at ELSE b.planned_at END,
        g.path, b.start LIMIT :most /*postgresql FOR UPDATE OF b SKIP LOCKED */)
UPDATE blocks SET owner = :owner, free_at = :until
WHERE state = 'planned' AND (generation, start) IN (SELECT generation, start FROM free)
RETURNING generation, start

-- name: take_block
UPDATE blocks SET owner = :owner, free_at = :until
WHERE generation = :generation AND start = :start AND state = 'planned'
    AND (owner IS NULL OR owner IN (:owner, :from_owner) OR owner NOT IN :live OR free_at <= :now)

-- A block that its reader is just committing need not be kept.

-- name: keep_block
WITH held AS MATERIALIZED (
    SELECT generation, start FROM blocks
    WHERE generation = :generation AND start = :start AND owner = :owner AND state = 'planned'
    /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE blocks SET free_at = :until
WHERE state = 'planned' AND (generation, start) IN (SELECT generation, start FROM held)

-- name: count_blocks_in_work
SELECT count(*) FROM blocks WHERE state = 'planned' AND owner IN :live AND free_at > :now

-- name: count_blocks_tried_again
SELECT count(*) FROM blocks WHERE state = 'planned' AND owner IN :live AND free_at > :now AND reason IS NOT NULL

-- name: count_samples_in_work
SELECT count(*) FROM samples WHERE state = 'pending' AND owner IN :live AND free_at > :now

-- name: claimed_blocks
SELECT b.generation, b.start, b.stop, b.planned_at, g.source, g.path, g.encoding,
    g.prefix_length, g.prefix_hash, g.planned_to, g.tail_length, g.tail_hash
FROM blocks b JOIN generations g ON g.generation = b.generation
WHERE b.state = 'planned' AND b.owner = :owner
ORDER BY b.planned_at, g.path, b.start

-- name: release_block
UPDATE blocks SET owner = NULL, free_at = :behind, reason = :reason, sweep = :sweep
WHERE generation = :generation AND start = :start AND state = 'planned' AND owner = :owner

-- What is said of a block for the second time the planner has not mended meanwhile.

-- name: release_changed_block
UPDATE blocks SET owner = NULL, reason = :reason,
    free_at = CASE WHEN reason = :reason THEN :behind ELSE 0 END,
    sweep = CASE WHEN reason = :reason THEN :sweep ELSE '' END
WHERE generation = :generation AND start = :start AND state = 'planned' AND owner = :owner

-- name: latest_plan
SELECT max(planned_at) FROM blocks WHERE state = 'planned'

-- name: count_open_blocks
SELECT count(*) FROM blocks WHERE state = 'planned' AND planned_at <= :planned_by AND sweep <> :sweep

-- Pending samples are walked in the order in which they are wanted, and only until there are enough. (A plus keeps
-- SQLite, which knows no sizes, from another index.) A job that looks once takes those of blocks that were planned by
-- then: beside a stream there is always another one. One planned beyond the horizon is of a clock set back meanwhile.

-- name: claim_oldest_samples
WITH free AS MATERIALIZED (
    SELECT request_id FROM samples
    WHERE state = 'pending' AND sweep <> :sweep AND +ingested_at <= :ingested_by
        AND (owner NOT IN :live OR free_at <= :now OR free_at BETWEEN :horizon AND :never - 1)
        AND coalesce((SELECT b.planned_at FROM blocks b WHERE b.generation = samples.generation
            AND b.start = samples.block_start), 0) NOT BETWEEN :planned_by + 1 AND :horizon
    ORDER BY timestamp, request_id LIMIT :most /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE samples SET owner = :owner, sweep = :sweep, free_at = :until
WHERE state = 'pending' AND request_id IN (SELECT request_id FROM free)
RETURNING request_id, payload, pi1, plan, sha256

-- name: claim_newest_samples
WITH free AS MATERIALIZED (
    SELECT request_id FROM samples
    WHERE state = 'pending' AND sweep <> :sweep AND +ingested_at <= :ingested_by
        AND (owner NOT IN :live OR free_at <= :now OR free_at BETWEEN :horizon AND :never - 1)
        AND coalesce((SELECT b.planned_at FROM blocks b WHERE b.generation = samples.generation
            AND b.start = samples.block_start), 0) NOT BETWEEN :planned_by + 1 AND :horizon
    ORDER BY timestamp DESC, request_id LIMIT :most /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE samples SET owner = :owner, sweep = :sweep, free_at = :until
WHERE state = 'pending' AND request_id IN (SELECT request_id FROM free)
RETURNING request_id, payload, pi1, plan, sha256

-- Those that somebody is just writing verdicts of need neither be kept nor given back.

-- name: keep_samples
WITH held AS MATERIALIZED (
    SELECT request_id FROM samples WHERE request_id IN :ids AND owner = :owner AND state = 'pending'
    /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE samples SET free_at = :until WHERE state = 'pending' AND request_id IN (SELECT request_id FROM held)

-- name: release_samples
WITH held AS MATERIALIZED (
    SELECT request_id FROM samples WHERE owner = :owner AND state = 'pending' /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE samples SET owner = NULL, free_at = 0, sweep = CASE WHEN sweep = :sweep THEN '' ELSE sweep END
WHERE state = 'pending' AND request_id IN (SELECT request_id FROM held)

-- name: release_blocks
WITH held AS MATERIALIZED (
    SELECT generation, start FROM blocks WHERE owner = :owner AND state = 'planned'
    /*postgresql FOR UPDATE SKIP LOCKED */)
UPDATE blocks SET owner = NULL, free_at = 0
WHERE state = 'planned' AND (generation, start) IN (SELECT generation, start FROM held)

-- The longer a sample could not be judged, the longer it waits for the next try: two seconds more each time, a minute
-- at most. A job that looks once waits for nothing: its `now` is 0.

-- name: release_samples_of
UPDATE samples SET owner = NULL, attempts = attempts + 1, reason = :reason,
    free_at = :now + CASE WHEN attempts < 29 THEN (attempts + 1) * 2000000 ELSE 60000000 END
WHERE request_id = :request_id AND state = 'pending'

-- name: count_free_samples
SELECT count(*) FROM (
    SELECT 1 FROM samples
    WHERE state = 'pending' AND sweep <> :sweep AND ingested_at <= :ingested_by
        AND (owner NOT IN :live OR free_at <= :now OR free_at BETWEEN :horizon AND :never - 1)
        AND coalesce((SELECT b.planned_at FROM blocks b WHERE b.generation = samples.generation
            AND b.start = samples.block_start), 0) NOT BETWEEN :planned_by + 1 AND :horizon
    LIMIT :most) found

-- name: records_done
SELECT sum(records + blanks) FROM read_totals

-- name: submit_stream
INSERT INTO streams (job, runner, submitted_at, stopping, host, pid, pid_started, beat_at)
VALUES (:job, :runner, :now, 0, :host, :pid, :pid_started, :now)

-- name: beat_stream
UPDATE streams SET beat_at = :now WHERE job = :job

-- name: streams
SELECT job, runner, submitted_at, stopping, host, pid, pid_started, beat_at FROM streams ORDER BY submitted_at, job

-- name: stop_stream
UPDATE streams SET stopping = 1 WHERE job = :job

-- name: fail_stream
UPDATE streams SET stopping = 1, failed = :reason WHERE job = :job

-- name: end_stream
DELETE FROM streams WHERE job = :job

-- name: stream_stops
SELECT stopping = 1 FROM streams WHERE job = :job

-- name: keep_copy
INSERT INTO copies (source, path, original, since) VALUES (:source, :path, :original, :now)
ON CONFLICT (source, path) DO UPDATE SET original = excluded.original

-- name: forget_copies
DELETE FROM copies WHERE source = :source AND path NOT IN :paths

-- name: copies
SELECT source, path, original, since FROM copies ORDER BY source, path

-- name: copies_of_source
SELECT path, original FROM copies WHERE source = :source
