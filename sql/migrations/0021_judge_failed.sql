-- The judge that a pending sample could not be asked of, how often that counted, when last, and how often that judge had
-- answered by then.
ALTER TABLE samples ADD COLUMN failing TEXT NOT NULL DEFAULT '';
ALTER TABLE samples ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE samples ADD COLUMN failed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE samples ADD COLUMN answers_then BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outcomes_judge_failed ON outcomes (indicator) WHERE why = 'judge_failed';
CREATE INDEX samples_failing ON samples (failing) WHERE state = 'pending' AND failing <> '';
