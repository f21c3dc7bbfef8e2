-- name: exporters
SELECT exporter, failed, said FROM exports ORDER BY exporter

-- name: begin_export
INSERT INTO exports (exporter, since, judged_at, failed, due_at, said) VALUES (:exporter, :now, :now, 0, 0, '')
ON CONFLICT (exporter) DO NOTHING

-- name: claim_export
UPDATE exports SET due_at = :until WHERE exporter = :exporter AND due_at <= :now RETURNING since, judged_at, failed

-- name: verdicts_to_export
SELECT v.request_id, v.indicator, v.evaluator, v.version, v.content_hash, v.score, v.label, v.confidence, v.reason,
    v.judged_at, s.intent, s.cohort, s.experiment, s.state, s.payload, d.deployment, d.model_version, d.prompt_version,
    d.retrieval_index
FROM verdicts v JOIN samples s ON s.request_id = v.request_id JOIN deployments d ON d.deployment = s.deployment
WHERE v.decided = 1 AND v.judged_at >= :since AND NOT EXISTS (
    SELECT 1 FROM exported e
    WHERE e.exporter = :exporter AND e.request_id = v.request_id AND e.indicator = v.indicator)
ORDER BY v.judged_at, v.request_id LIMIT :most

-- name: insert_exported
INSERT INTO exported (exporter, request_id, indicator, judged_at)
VALUES (:exporter, :request_id, :indicator, :judged_at)
ON CONFLICT (exporter, request_id, indicator) DO NOTHING

-- name: forget_exported
DELETE FROM exported WHERE exporter = :exporter AND judged_at < :before

-- name: record_export
UPDATE exports SET judged_at = CASE WHEN judged_at > :judged_at THEN judged_at ELSE :judged_at END, failed = :failed,
    due_at = :due_at, said = :said
WHERE exporter = :exporter
