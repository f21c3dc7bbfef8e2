-- Samples whose texts nobody needs any more: not those that wait for a verdict or a label, nor the evidence of an
-- incident that is open.

-- name: samples_to_prune
SELECT s.request_id, s.timestamp, s.payload FROM samples s
WHERE s.pruned = 0 AND s.timestamp < :before AND s.state <> 'pending'
    AND (s.timestamp, s.request_id) > (:time, :after)
    AND NOT EXISTS (
        SELECT 1 FROM review_queue q WHERE q.request_id = s.request_id AND q.state IN ('queued', 'leased'))
    AND NOT EXISTS (
        SELECT 1 FROM outcomes o
        JOIN incident_keys k ON k.test_key = o.test_key
        JOIN incidents i ON i.incident = k.incident
        WHERE o.request_id = s.request_id AND i.state = 'open')
ORDER BY s.timestamp, s.request_id LIMIT :most /*postgresql FOR UPDATE OF s SKIP LOCKED */

-- name: prune_sample
UPDATE samples SET payload = :payload, pruned = 1 WHERE request_id = :request_id

-- name: prune_verdicts
UPDATE verdicts SET reason = '', spans = '[]', raw = '' WHERE request_id IN :ids

-- name: prune_shadow_verdicts
UPDATE shadow_verdicts SET reason = '' WHERE judged_at < :before AND reason <> ''

-- name: answers_to_prune
SELECT count(*) FROM verdict_cache WHERE made_at < :before

-- name: prune_answers
DELETE FROM verdict_cache WHERE (evaluator_hash, content) IN (
    SELECT evaluator_hash, content FROM verdict_cache WHERE made_at < :before ORDER BY made_at
    LIMIT :most /*postgresql FOR UPDATE SKIP LOCKED */)

-- name: quarantine_to_prune
SELECT q.generation, q.block_start, q.start, length(q.raw) AS bytes FROM quarantine q
JOIN blocks b ON b.generation = q.generation AND b.start = q.block_start
WHERE b.done_at < :before AND length(q.raw) > 0
ORDER BY q.generation, q.block_start, q.start LIMIT :most

-- name: prune_quarantine
UPDATE quarantine SET raw = :raw, detail = ''
WHERE generation = :generation AND block_start = :block_start AND start = :start

-- name: rollups_to_prune
SELECT count(*) FROM rollup_5m WHERE bucket < :before

-- name: rollups_between
SELECT count(*) FROM rollup_5m WHERE bucket >= :first AND bucket < :stop

-- name: prune_rollups
DELETE FROM rollup_5m WHERE (bucket, segment) IN (
    SELECT bucket, segment FROM rollup_5m WHERE bucket < :before ORDER BY bucket, segment LIMIT :most)

-- name: rollup_months
SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = CAST('rollup_5m' AS regclass)

-- name: lock_rest
LOCK TABLE rollup_5m_rest IN ACCESS EXCLUSIVE MODE

-- name: rest_has
SELECT 1 FROM rollup_5m_rest WHERE bucket >= :first AND bucket < :stop LIMIT 1

-- Whoever moves the row on prunes; the others find that it was done today.

-- name: claim_pruning
INSERT INTO meta (name, value) VALUES ('pruned_at', CAST(:now AS TEXT))
ON CONFLICT (name) DO UPDATE SET value = excluded.value
    WHERE CAST(meta.value AS BIGINT) NOT BETWEEN :day_ago + 1 AND CAST(excluded.value AS BIGINT)
RETURNING name
