-- The process that submitted a stream, and when it last said that it is there. A pipeline may outlive it on its cluster,
-- until another stream has come.
ALTER TABLE streams ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE streams ADD COLUMN pid BIGINT NOT NULL DEFAULT 0;
ALTER TABLE streams ADD COLUMN pid_started DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE streams ADD COLUMN beat_at BIGINT NOT NULL DEFAULT 0;
