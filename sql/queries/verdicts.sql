-- Who writes several rows that others write, too, locks them in the order of their keys, the same everywhere.

-- name: lock_samples
SELECT request_id FROM samples WHERE request_id IN :ids /*postgresql ORDER BY request_id COLLATE "C" FOR UPDATE */

-- name: finish_samples
UPDATE samples SET state = 'judged', reason = '', owner = NULL
WHERE request_id IN :ids AND state = 'pending'
RETURNING request_id, intent, deployment, timestamp, served_by

-- name: explain_sample
UPDATE samples SET state = :state, reason = :reason WHERE request_id = :request_id

-- name: finish_cell_samples
UPDATE cells SET final = final + :samples WHERE intent = :intent AND deployment = :deployment AND block = :block

-- name: insert_verdict
INSERT INTO verdicts (request_id, indicator, evaluator, version, content_hash, score, label, confidence, reason, asks,
    decided, judged_at, spans, raw, answered_by, calls, input_tokens, output_tokens, cost_nano_usd)
VALUES (:request_id, :indicator, :evaluator, :version, :content_hash, :score, :label, :confidence, :reason, :asks,
    :decided, :judged_at, :spans, :raw, :answered_by, :calls, :input_tokens, :output_tokens, :cost_nano_usd)
ON CONFLICT (request_id, indicator, evaluator) DO NOTHING

-- name: register_artifact
INSERT INTO artifacts (kind, name, version, content_hash, first_used_at)
VALUES (:kind, :name, :version, :content_hash, :now)
ON CONFLICT (kind, name, version) DO NOTHING

-- name: artifact_hash
SELECT content_hash FROM artifacts WHERE kind = :kind AND name = :name AND version = :version
