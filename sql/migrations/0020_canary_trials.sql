-- What a canary's trial reads on every tick: confirmed positives, which are few among all outcomes, and samples by arm,
-- without their texts.
CREATE INDEX outcomes_positive ON outcomes (indicator, event_block) WHERE y = 1;
DROP INDEX samples_by_key;
CREATE INDEX samples_by_key ON samples (intent, deployment, timestamp, served_by, cohort, experiment, feature);
