-- The block of each line in quarantine: when it was read, and so when its bytes may go, whatever its place counts. That
-- of a Kafka record was its offset times 2^24.
CREATE TABLE quarantine_by_block (
    generation TEXT NOT NULL,
    block_start BIGINT NOT NULL,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    raw BYTEA NOT NULL,
    PRIMARY KEY (generation, block_start, start)
);
INSERT INTO quarantine_by_block (generation, block_start, start, length, source, reason, detail, sha256, raw)
SELECT q.generation, coalesce((
    SELECT max(b.start) FROM blocks b JOIN generations g ON g.generation = b.generation
    WHERE b.generation = q.generation
        AND b.start <= CASE WHEN g.encoding = 'kafka' THEN q.start / 16777216 ELSE q.start END), 0),
    q.start, q.length, q.source, q.reason, q.detail, q.sha256, q.raw
FROM quarantine q;
DROP TABLE quarantine;
ALTER TABLE quarantine_by_block RENAME TO quarantine;
CREATE INDEX quarantine_examples ON quarantine (source, reason, generation, block_start, start);
