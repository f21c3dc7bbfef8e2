-- Samples whose texts were removed after their time; what counts of them stays.
ALTER TABLE samples ADD COLUMN pruned BIGINT NOT NULL DEFAULT 0;
CREATE INDEX samples_with_texts ON samples (timestamp) WHERE pruned = 0;
