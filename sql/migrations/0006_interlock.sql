-- Gold cases on their way through the judges, what answered under which name, interlocks and stops. Conventions as in 0001.

-- A stretch of time in which one set of gold cases is drawn from; `cases` is a JSON list of their ids.
CREATE TABLE gold_streams (
    stream BIGINT PRIMARY KEY,
    began_at BIGINT NOT NULL,
    cases TEXT NOT NULL
);

-- A drawn case, with the label that was known then. One that a killed worker had drawn stays without answers.
CREATE TABLE gold_runs (
    run TEXT PRIMARY KEY,
    stream BIGINT NOT NULL REFERENCES gold_streams (stream),
    ordinal BIGINT NOT NULL,
    gold TEXT NOT NULL,
    truth BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    UNIQUE (stream, ordinal)
);

-- What each evaluator said of it; `said` is null where it said nothing usable.
CREATE TABLE gold_answers (
    run TEXT NOT NULL REFERENCES gold_runs (run),
    evaluator TEXT NOT NULL,
    evaluator_hash TEXT NOT NULL,
    said BIGINT,
    answered_at BIGINT NOT NULL,
    PRIMARY KEY (run, evaluator_hash)
);
CREATE INDEX gold_answers_by_evaluator ON gold_answers (evaluator_hash);

-- How often an endpoint answered under which model name and fingerprint, per 6-hour block of the clock.
CREATE TABLE judge_identities (
    evaluator_hash TEXT NOT NULL,
    block BIGINT NOT NULL,
    identity TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    answers BIGINT NOT NULL,
    PRIMARY KEY (evaluator_hash, block, identity)
);

-- A judge that is not believed, from `tripped_at` until it is released. Rows are never deleted.
CREATE TABLE interlocks (
    evaluator_hash TEXT NOT NULL,
    tripped_at BIGINT NOT NULL,
    evaluator TEXT NOT NULL,
    kind TEXT NOT NULL,
    evidence TEXT NOT NULL,
    released_at BIGINT,
    released_by TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (evaluator_hash, tripped_at)
);

-- Intents whose decisions are frozen: by whom, why, until when. Rows are never deleted.
CREATE TABLE stops (
    intent TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    until BIGINT,
    lifted_at BIGINT,
    lifted_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (intent, made_at)
);
