-- What only the processes at work can see, so that any other one can tell it. All of it is bounded: a row for each job,
-- source place and histogram bucket.

-- The last look of each job at its sources; the job is empty where one looks once. `error` is of the last look alone.
CREATE TABLE ticks (
    job TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    every DOUBLE PRECISION NOT NULL,
    took BIGINT NOT NULL,
    ticks BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    error TEXT NOT NULL
);

-- What lies behind the last planned range, in the source's own unit.
CREATE TABLE source_lag (
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    amount BIGINT NOT NULL,
    unit TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (source, place)
);

-- How long things took: a histogram for each kind. `units` are records of a block, verdicts of a commit.
CREATE TABLE timings (
    kind TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    observations BIGINT NOT NULL,
    total BIGINT NOT NULL,
    units BIGINT NOT NULL,
    PRIMARY KEY (kind, bucket)
);

-- What a worker has in its judges' hands, and what they take at once.
ALTER TABLE owners ADD COLUMN in_flight BIGINT NOT NULL DEFAULT 0;
ALTER TABLE owners ADD COLUMN at_once BIGINT NOT NULL DEFAULT 0;

-- Since when a test's evidence is ahead of its decision.
ALTER TABLE test_keys ADD COLUMN behind_since BIGINT NOT NULL DEFAULT 0;

-- Why the pipeline of a stream failed, while it waits to be submitted again.
ALTER TABLE streams ADD COLUMN failed TEXT NOT NULL DEFAULT '';

CREATE INDEX blocks_by_end ON blocks (done_at);
CREATE INDEX samples_pending ON samples (state, ingested_at) WHERE state = 'pending';
