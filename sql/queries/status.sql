-- name: status_blocks
SELECT state, count(*) AS blocks, min(planned_at) AS oldest FROM blocks WHERE state IN ('planned', 'lost') GROUP BY state

-- name: status_read
SELECT sum(blocks) AS blocks, sum(records) AS records, sum(blanks) AS blanks, sum(quarantined) AS quarantined
FROM read_totals

-- name: status_tallies
SELECT t.intent, sum(t.unsampled) AS unsampled, sum(t.sampled) AS sampled, sum(t.repeats) AS repeats,
    sum(CASE WHEN p.rate > 0 THEN t.repeats / p.rate ELSE 0 END) AS estimate
FROM tallies t JOIN sampling_plans p ON p.plan = t.plan GROUP BY t.intent

-- name: status_samples
SELECT intent, state, count(*) AS samples FROM samples GROUP BY intent, state

-- name: status_review
SELECT intent, state, count(*) AS cases FROM review_queue GROUP BY intent, state

-- name: status_conflicting
SELECT count(*) FROM samples WHERE conflicting = 1

-- name: records_read
SELECT sum(records) FROM read_totals

-- name: status_quarantine
SELECT source, reason, records FROM quarantine_counts ORDER BY source, reason

-- name: quarantine_example
SELECT q.detail, q.start, g.path FROM quarantine q JOIN generations g ON g.generation = q.generation
WHERE q.source = :source AND q.reason = :reason
ORDER BY q.generation, q.block_start, q.start LIMIT 1
