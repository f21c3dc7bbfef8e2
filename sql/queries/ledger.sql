-- name: lock_planner
SELECT pg_advisory_xact_lock(7483920148)

-- name: beat
INSERT INTO owners (owner, host, pid, pid_started, heartbeat_at) VALUES (:owner, :host, :pid, :pid_started, :now)
ON CONFLICT (owner) DO UPDATE SET heartbeat_at = excluded.heartbeat_at

-- name: leave
DELETE FROM owners WHERE owner = :owner

-- name: owners
SELECT owner, host, pid, pid_started, heartbeat_at FROM owners

-- name: generations
SELECT * FROM generations WHERE source = :source AND state <> 'gone' ORDER BY created_at, generation

-- name: insert_generation
INSERT INTO generations (generation, source, path, encoding, inode, prefix_length, prefix_hash, tail_length, tail_hash,
    planned_to, size_seen, unchanged_since, state, created_at)
VALUES (:generation, :source, :path, :encoding, :inode, 0, '', 0, '', 0, :size_seen, :unchanged_since, 'live', :created_at)

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
UPDATE blocks SET stop = :stop, planned_at = :planned_at
WHERE generation = :generation AND start = :start AND state = 'planned'

-- name: open_blocks
SELECT generation, start, stop FROM blocks WHERE generation = :generation AND state = 'planned' ORDER BY start

-- name: lose_blocks
UPDATE blocks SET state = 'lost', reason = :reason, owner = NULL, done_at = :now
WHERE generation = :generation AND state = 'planned'
RETURNING start, stop

-- name: retire_generation
UPDATE generations SET state = 'gone' WHERE generation = :generation

-- name: claim_blocks
UPDATE blocks SET owner = :owner
WHERE state = 'planned' AND (owner IS NULL OR owner NOT IN :live) AND (generation, start) IN (
    SELECT b.generation, b.start FROM blocks b JOIN generations g ON g.generation = b.generation
    WHERE b.state = 'planned' AND (b.owner IS NULL OR b.owner NOT IN :live) AND b.planned_at <= :planned_by
        AND b.sweep <> :sweep
    ORDER BY b.planned_at, g.path, b.start LIMIT :most)
RETURNING generation, start

-- name: claimed_blocks
SELECT b.generation, b.start, b.stop, b.planned_at, g.source, g.path, g.encoding,
    g.prefix_length, g.prefix_hash, g.planned_to, g.tail_length, g.tail_hash
FROM blocks b JOIN generations g ON g.generation = b.generation
WHERE b.state = 'planned' AND b.owner = :owner
ORDER BY b.planned_at, g.path, b.start

-- name: release_block
UPDATE blocks SET owner = NULL, reason = :reason, sweep = :sweep
WHERE generation = :generation AND start = :start AND state = 'planned' AND owner = :owner

-- name: count_open_blocks
SELECT count(*) FROM blocks WHERE state = 'planned' AND planned_at <= :planned_by AND sweep <> :sweep

-- name: claim_samples
UPDATE samples SET owner = :owner, sweep = :sweep
WHERE state = 'pending' AND (owner IS NULL OR owner NOT IN :live) AND request_id IN (
    SELECT request_id FROM samples
    WHERE state = 'pending' AND sweep <> :sweep AND (owner IS NULL OR owner NOT IN :live)
    ORDER BY request_id LIMIT :most)
RETURNING request_id, payload, pi1, plan, sha256

-- name: release_samples
UPDATE samples SET owner = NULL WHERE owner = :owner AND state = 'pending'

-- name: release_samples_of
UPDATE samples SET owner = NULL, attempts = attempts + 1, reason = :reason
WHERE request_id = :request_id AND state = 'pending'

-- name: count_unswept
SELECT count(*) FROM samples
WHERE state = 'pending' AND sweep <> :sweep AND (owner IS NULL OR owner NOT IN :live)

-- name: records_done
SELECT sum(records + blanks) FROM blocks WHERE state = 'done'
