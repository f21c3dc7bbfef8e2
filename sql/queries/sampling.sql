-- name: lock_plans
SELECT pg_advisory_xact_lock(:id)

-- name: lock_plans_shared
SELECT pg_advisory_xact_lock_shared(:id)

-- name: sampling_plans
SELECT plan, valid_from, rate, intent, deployment, key_fingerprint, reason, created_at FROM sampling_plans ORDER BY plan

-- name: newest_plan
SELECT max(plan) FROM sampling_plans

-- name: insert_plan
INSERT INTO sampling_plans (plan, valid_from, rate, intent, deployment, key_fingerprint, reason, created_at)
VALUES (:plan, :valid_from, :rate, :intent, :deployment, :key_fingerprint, :reason, :created_at)

-- name: plans_that_would_change
SELECT count(*) FROM sampling_plans WHERE plan > :plan AND valid_from <= :time

-- name: meta_value
SELECT value FROM meta WHERE name = :name

-- name: insert_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- name: newest_bucket
SELECT max(bucket) FROM rollup_5m
