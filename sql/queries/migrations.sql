-- name: lock_migrations
SELECT pg_advisory_xact_lock(7483920146)

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
