-- name: snapshots_of
SELECT s.intent, s.made_at, p.body FROM snapshots s JOIN policies p ON p.policy = s.policy
WHERE s.indicator = :indicator AND s.intent IN :intents ORDER BY s.intent

-- name: put_snapshot
INSERT INTO snapshots (indicator, intent, policy, at, made_at, s, bucket, capacity, log_m, deployment, since)
VALUES (:indicator, :intent, :policy, :at, :made_at, :s, :bucket, :capacity, :log_m, :deployment, :since)
ON CONFLICT (indicator, intent) DO UPDATE SET policy = excluded.policy, at = excluded.at, made_at = excluded.made_at,
    s = excluded.s, bucket = excluded.bucket, capacity = excluded.capacity, log_m = excluded.log_m,
    deployment = excluded.deployment, since = excluded.since

-- name: surges
SELECT intent, s, bucket, capacity, log_m, deployment, since FROM snapshots
WHERE indicator = :indicator ORDER BY intent

-- name: running_evidence
SELECT k.intent, k.deployment, k.log_e, k.last_at FROM test_keys k
WHERE k.indicator = :indicator AND k.intent IN :intents AND NOT EXISTS
    (SELECT 1 FROM incidents i WHERE i.test_key = k.test_key AND i.state <> 'cancelled')
ORDER BY k.intent, k.log_e DESC, k.deployment
