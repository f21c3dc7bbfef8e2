-- What evaluators point at and what asking took; verdict cache, budgets, calibrations, rubric releases, gold cases and
-- shadow verdicts. Conventions as in 0001.

ALTER TABLE verdicts ADD COLUMN spans TEXT NOT NULL DEFAULT '[]';
ALTER TABLE verdicts ADD COLUMN raw TEXT NOT NULL DEFAULT '';
ALTER TABLE verdicts ADD COLUMN answered_by TEXT NOT NULL DEFAULT '';
ALTER TABLE verdicts ADD COLUMN calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE verdicts ADD COLUMN input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE verdicts ADD COLUMN output_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE verdicts ADD COLUMN cost_nano_usd BIGINT;

ALTER TABLE outcomes ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE outcomes ADD COLUMN calibration TEXT NOT NULL DEFAULT '';
ALTER TABLE outcomes ADD COLUMN spent BIGINT NOT NULL DEFAULT 0;

-- Scores by what answered and what was asked about; `body` is the score as JSON.
CREATE TABLE verdict_cache (
    evaluator_hash TEXT NOT NULL,
    content TEXT NOT NULL,
    body TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (evaluator_hash, content)
);
CREATE INDEX verdict_cache_by_age ON verdict_cache (made_at);

-- What a judge has reserved or used of a UTC day's budgets.
CREATE TABLE budgets (
    judge TEXT NOT NULL,
    day BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    PRIMARY KEY (judge, day)
);

-- What was learnt about endpoints; `body` is JSON.
CREATE TABLE capabilities (
    base_url TEXT NOT NULL,
    model TEXT NOT NULL,
    body TEXT NOT NULL,
    learnt_at BIGINT NOT NULL,
    PRIMARY KEY (base_url, model)
);

-- Calibrations of raw scores, from the labels in hand when they were made. Append-only.
CREATE TABLE calibrations (
    calibration TEXT PRIMARY KEY,
    indicator TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    labels BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX calibrations_by_time ON calibrations (indicator, made_at);

-- Released rubric versions with the verdict of their gate, as JSON.
CREATE TABLE rubric_releases (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    released_at BIGINT NOT NULL,
    released_by TEXT NOT NULL,
    gate TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Cases with known labels, outside samples, rollups, status and sums. `payload` is the request as JSON.
CREATE TABLE gold_cases (
    gold TEXT PRIMARY KEY,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    payload BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Who says what of a gold case; it counts once two agree and nobody disagrees.
CREATE TABLE gold_labels (
    gold TEXT NOT NULL REFERENCES gold_cases (gold),
    reviewer TEXT NOT NULL,
    value BIGINT NOT NULL,
    note TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (gold, reviewer)
);

-- What another judge or rubric says of samples that have their verdict; never part of a test.
CREATE TABLE shadow_verdicts (
    run TEXT NOT NULL,
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    state TEXT NOT NULL,
    score DOUBLE PRECISION,
    label TEXT,
    confidence DOUBLE PRECISION NOT NULL,
    reason TEXT NOT NULL,
    judged_at BIGINT NOT NULL,
    PRIMARY KEY (run, request_id, indicator)
);
