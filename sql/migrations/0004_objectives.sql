-- Objectives beyond hallucination, how they changed, their budgets day by day, and what was exported. Conventions as in
-- 0001.

ALTER TABLE objectives ADD COLUMN window_text TEXT NOT NULL DEFAULT '28d';
ALTER TABLE objectives ADD COLUMN threshold_ms DOUBLE PRECISION;

-- What was changed without a new version: owner, risk, window. Append-only.
CREATE TABLE objective_changes (
    objective BIGINT NOT NULL REFERENCES objectives (objective),
    sequence BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    what TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    PRIMARY KEY (objective, sequence)
);

-- The budget of an indicator and intent as it stood at the end of an event day, or now. `seen` says what it was made
-- from, so that nothing is computed twice; `burning` is JSON: what is known of each burn level.
CREATE TABLE budget_days (
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    day BIGINT NOT NULL,
    seen TEXT NOT NULL,
    allowed DOUBLE PRECISION NOT NULL,
    requests DOUBLE PRECISION NOT NULL,
    rate DOUBLE PRECISION,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    used DOUBLE PRECISION,
    used_low DOUBLE PRECISION NOT NULL,
    used_high DOUBLE PRECISION,
    burn_rate DOUBLE PRECISION,
    days_left BIGINT,
    as_of BIGINT NOT NULL,
    burning TEXT NOT NULL,
    PRIMARY KEY (indicator, intent, day)
);

-- Requests above a latency threshold, hour by hour; an hour whose requests changed is counted anew.
CREATE TABLE latency_hours (
    intent TEXT NOT NULL,
    threshold_ms DOUBLE PRECISION NOT NULL,
    hour BIGINT NOT NULL,
    cohort TEXT NOT NULL,
    experiment TEXT NOT NULL,
    requests BIGINT NOT NULL,
    measured BIGINT NOT NULL,
    slow BIGINT NOT NULL,
    PRIMARY KEY (intent, threshold_ms, hour, cohort, experiment)
);

-- How far verdicts were exported; `due_at` is when the next attempt may be made, and by one process only.
CREATE TABLE exports (
    exporter TEXT PRIMARY KEY,
    since BIGINT NOT NULL,
    judged_at BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    said TEXT NOT NULL
);

-- What was exported of the last minutes: a transaction that ends late is behind the newest verdict and still found.
CREATE TABLE exported (
    exporter TEXT NOT NULL,
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    judged_at BIGINT NOT NULL,
    PRIMARY KEY (exporter, request_id, indicator)
);
CREATE INDEX verdicts_by_time ON verdicts (judged_at);
