-- name: queued_of_days
SELECT intent, event_day, count(*) AS cases FROM review_queue
WHERE indicator = :indicator AND intent IN :intents AND event_day >= :since GROUP BY intent, event_day

-- name: queued_of_days_for
SELECT intent, event_day, count(*) AS cases FROM review_queue
WHERE indicator = :indicator AND why = :why AND intent IN :intents AND event_day >= :since GROUP BY intent, event_day

-- name: insert_review_case
INSERT INTO review_queue (request_id, indicator, intent, deployment, why, pi, priority, event_day, queued_at, due_at,
    state)
VALUES (:request_id, :indicator, :intent, :deployment, :why, :pi, :priority, :event_day, :queued_at, :due_at, 'queued')
ON CONFLICT (request_id, indicator) DO NOTHING

-- name: open_cases
SELECT q.request_id, q.indicator, q.intent, q.deployment, q.why, q.pi, q.priority, q.due_at, s.payload
FROM review_queue q JOIN samples s ON s.request_id = q.request_id
WHERE q.state IN ('queued', 'leased')
ORDER BY q.priority DESC, q.due_at, q.request_id, q.indicator

-- name: settle_case
UPDATE review_queue SET state = :state, labelled_at = :labelled_at, leased_by = NULL, leased_until = NULL
WHERE request_id = :request_id AND indicator = :indicator

-- name: raise_cases
UPDATE review_queue SET priority = priority + :step, why = CASE WHEN why = 'injection' THEN why ELSE :why END
WHERE indicator = :indicator AND state = 'queued' AND request_id IN
    (SELECT o.request_id FROM outcomes o WHERE o.test_key = :test_key AND o.reviewed = 1)

-- name: reviews_due
SELECT intent, count(*) AS due, sum(CASE WHEN state = 'labelled' THEN 0 ELSE 1 END) AS missing
FROM review_queue WHERE indicator = :indicator AND event_day > :since AND due_at < :now
GROUP BY intent ORDER BY intent

-- name: lock_outcomes
WITH mine AS MATERIALIZED (
    SELECT request_id FROM outcomes WHERE indicator = :indicator AND request_id IN :ids
    /*postgresql ORDER BY request_id COLLATE "C" FOR UPDATE */)
UPDATE outcomes SET y = y WHERE indicator = :indicator AND request_id IN (SELECT request_id FROM mine)
RETURNING request_id, test_key, event_block, test_block, evaluator_hash, bin, pi1, u, f, pi, reviewed, returned, y

-- name: settle_outcome
UPDATE outcomes SET y = :y, returned = :returned
WHERE request_id = :request_id AND indicator = :indicator AND y = :old_y AND returned = :old_returned

-- name: opinions
SELECT request_id, reviewer, sequence, value, note FROM labels
WHERE indicator = :indicator AND request_id IN :ids
ORDER BY request_id, reviewer, sequence

-- name: insert_opinion
INSERT INTO labels (request_id, indicator, reviewer, sequence, value, note, counts, made_at)
VALUES (:request_id, :indicator, :reviewer, :sequence, :value, :note, :counts, :made_at)
