-- When the process that submitted a stream last said that it is there. A pipeline may outlive it on its cluster, until
-- another stream has come.
ALTER TABLE streams ADD COLUMN beat_at BIGINT NOT NULL DEFAULT 0;
