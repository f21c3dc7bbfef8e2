-- Work in hand has a time from which others may take it, so that what an engine lost comes back while its worker lives.
ALTER TABLE blocks ADD COLUMN free_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE samples ADD COLUMN free_at BIGINT NOT NULL DEFAULT 0;

-- The stream that an owner works for; empty for a job that looks once.
ALTER TABLE owners ADD COLUMN job TEXT NOT NULL DEFAULT '';

-- Streams that were submitted and not ended; `stopping` asks their workers to plan and claim nothing more.
CREATE TABLE streams (
    job TEXT PRIMARY KEY,
    runner TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    stopping BIGINT NOT NULL
);
