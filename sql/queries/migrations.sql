-- The larger a store, the longer its migration takes, and whoever comes second waits for it. What else is at work on the
-- store is not waited for longer than usual: nobody gets past a statement that waits for a table.

-- name: be_patient
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)

-- name: lock_migrations
SELECT pg_advisory_xact_lock(7483920146)

-- name: be_impatient
SET LOCAL lock_timeout TO DEFAULT

-- name: has_table_sqlite
SELECT name FROM sqlite_master WHERE type = 'table' AND name = :name

-- name: has_table_postgresql
SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = :name

-- name: create_schema_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL)

-- name: schema_versions
SELECT version FROM schema_migrations

-- name: record_migration
INSERT INTO schema_migrations (version, name) VALUES (:version, :name)
