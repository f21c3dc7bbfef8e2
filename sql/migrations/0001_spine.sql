-- The whole store of the spine. Runs as it is on SQLite and on PostgreSQL: BYTEA holds bytes on both, flags are
-- integers 0 and 1, ids are made by the program. Times are microseconds since the epoch, UTC. Blocks of evidence are
-- numbered 6-hour spans. Absent segment values are empty strings, so that they can be part of a key.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Who is at work: one row per process, with a heartbeat.
CREATE TABLE owners (
    owner TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    pid_started DOUBLE PRECISION NOT NULL,
    heartbeat_at BIGINT NOT NULL
);

-- The ledger: what of every source is planned, done or lost.
CREATE TABLE generations (
    generation TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    encoding TEXT NOT NULL,
    inode TEXT NOT NULL,
    prefix_length BIGINT NOT NULL,
    prefix_hash TEXT NOT NULL,
    tail_length BIGINT NOT NULL,
    tail_hash TEXT NOT NULL,
    planned_to BIGINT NOT NULL,
    size_seen BIGINT NOT NULL,
    unchanged_since BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX generations_by_source ON generations (source, state);

CREATE TABLE blocks (
    generation TEXT NOT NULL REFERENCES generations (generation),
    start BIGINT NOT NULL,
    stop BIGINT NOT NULL,
    state TEXT NOT NULL,
    planned_at BIGINT NOT NULL,
    owner TEXT,
    done_at BIGINT,
    reason TEXT,
    sweep TEXT NOT NULL DEFAULT '',
    records BIGINT NOT NULL DEFAULT 0,
    blanks BIGINT NOT NULL DEFAULT 0,
    quarantined BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (generation, start),
    UNIQUE (generation, stop)
);
CREATE INDEX blocks_open ON blocks (state, planned_at);

CREATE TABLE quarantine (
    generation TEXT NOT NULL,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    raw BYTEA NOT NULL,
    PRIMARY KEY (generation, start)
);

CREATE TABLE quarantine_counts (
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    records BIGINT NOT NULL,
    PRIMARY KEY (source, reason)
);

-- Conservation, per intent and sampling plan: seen = unsampled + sampled + repeats.
CREATE TABLE tallies (
    intent TEXT NOT NULL,
    plan BIGINT NOT NULL,
    unsampled BIGINT NOT NULL,
    sampled BIGINT NOT NULL,
    repeats BIGINT NOT NULL,
    PRIMARY KEY (intent, plan)
);

CREATE TABLE sampling_plans (
    plan BIGINT PRIMARY KEY,
    valid_from BIGINT NOT NULL,
    rate DOUBLE PRECISION NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE deployments (
    deployment TEXT PRIMARY KEY,
    model_version TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    retrieval_index TEXT NOT NULL
);

-- Rollups over every valid request. Segments and accounts name the long part of the keys once.
CREATE TABLE segments (
    segment BIGINT PRIMARY KEY,
    intent TEXT NOT NULL,
    feature TEXT NOT NULL,
    deployment TEXT NOT NULL,
    cohort TEXT NOT NULL,
    experiment TEXT NOT NULL,
    served_by TEXT NOT NULL
);

CREATE TABLE rollup_5m (
    bucket BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    timeouts BIGINT NOT NULL,
    feedback_up BIGINT NOT NULL,
    feedback_neutral BIGINT NOT NULL,
    feedback_down BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    cost_unknown BIGINT NOT NULL,
    latency BYTEA NOT NULL,
    retrieval_latency BYTEA NOT NULL,
    PRIMARY KEY (bucket, segment)
);

CREATE TABLE accounts (
    account BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    feature TEXT NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL
);

CREATE TABLE rollup_day (
    day BIGINT NOT NULL,
    account BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    cost_unknown BIGINT NOT NULL,
    PRIMARY KEY (day, account)
);

-- Traffic and samples of the tested tiers, per 6-hour block of event time.
CREATE TABLE cells (
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    block BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    sampled BIGINT NOT NULL,
    final BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (intent, deployment, block)
);

CREATE TABLE samples (
    request_id TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    served_by TEXT NOT NULL,
    tenant TEXT NOT NULL,
    feature TEXT NOT NULL,
    cohort TEXT NOT NULL,
    experiment TEXT NOT NULL,
    provider TEXT NOT NULL,
    pi1 DOUBLE PRECISION NOT NULL,
    plan BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    attempts BIGINT NOT NULL DEFAULT 0,
    conflicting BIGINT NOT NULL DEFAULT 0,
    sweep TEXT NOT NULL DEFAULT '',
    owner TEXT,
    generation TEXT NOT NULL,
    block_start BIGINT NOT NULL,
    ingested_at BIGINT NOT NULL
);
CREATE INDEX samples_by_state ON samples (state, intent);
CREATE INDEX samples_by_key ON samples (intent, deployment, timestamp);

-- Versioned artifacts: a version once used never changes its content.
CREATE TABLE artifacts (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    first_used_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name, version)
);

CREATE TABLE verdicts (
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    score DOUBLE PRECISION,
    label TEXT,
    confidence DOUBLE PRECISION NOT NULL,
    reason TEXT NOT NULL,
    asks BIGINT NOT NULL,
    decided BIGINT NOT NULL,
    judged_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, indicator, evaluator)
);

-- What was frozen about a sample when it became final, and the effective human label that came later.
CREATE TABLE outcomes (
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    test_key TEXT,
    event_block BIGINT NOT NULL,
    test_block BIGINT NOT NULL,
    evaluator_hash TEXT NOT NULL,
    bin BIGINT NOT NULL,
    policy TEXT NOT NULL,
    pi1 DOUBLE PRECISION NOT NULL,
    u DOUBLE PRECISION NOT NULL,
    f DOUBLE PRECISION NOT NULL,
    pi DOUBLE PRECISION NOT NULL,
    reviewed BIGINT NOT NULL,
    returned BIGINT NOT NULL DEFAULT 0,
    y BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (request_id, indicator)
);
CREATE INDEX outcomes_by_key ON outcomes (test_key);

CREATE TABLE test_keys (
    test_key TEXT PRIMARY KEY,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    episode BIGINT NOT NULL,
    objective BIGINT NOT NULL,
    pi_ref DOUBLE PRECISION NOT NULL,
    first_block BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    read_block BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    decided_version BIGINT NOT NULL DEFAULT -1,
    log_e DOUBLE PRECISION NOT NULL DEFAULT 0,
    max_log_e DOUBLE PRECISION NOT NULL DEFAULT 0,
    escalated BIGINT NOT NULL DEFAULT 0,
    UNIQUE (indicator, intent, deployment, episode)
);

-- Evidence: additive sums of the log-betting terms, by test block.
CREATE TABLE test_sums (
    test_key TEXT NOT NULL,
    block BIGINT NOT NULL,
    s0 DOUBLE PRECISION NOT NULL,
    s1 DOUBLE PRECISION NOT NULL,
    s2 DOUBLE PRECISION NOT NULL,
    s3 DOUBLE PRECISION NOT NULL,
    s4 DOUBLE PRECISION NOT NULL,
    s5 DOUBLE PRECISION NOT NULL,
    s6 DOUBLE PRECISION NOT NULL,
    s7 DOUBLE PRECISION NOT NULL,
    positives BIGINT NOT NULL,
    PRIMARY KEY (test_key, block)
);

-- Rates: additive sums by event block, deciding evaluator and score bin. With p = f, q = R'Y/pi, g = R'f/pi, where R' is
-- "reviewed and returned", an item's estimate is Z = p + (q - g). Weighted by w = 1/pi1; two letters are products, weighted by w*w.
CREATE TABLE rate_sums (
    test_key TEXT NOT NULL,
    block BIGINT NOT NULL,
    evaluator_hash TEXT NOT NULL,
    bin BIGINT NOT NULL,
    items BIGINT NOT NULL,
    reviewed BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    positives BIGINT NOT NULL,
    flagged BIGINT NOT NULL,
    w DOUBLE PRECISION NOT NULL,
    ww DOUBLE PRECISION NOT NULL,
    p DOUBLE PRECISION NOT NULL,
    q DOUBLE PRECISION NOT NULL,
    g DOUBLE PRECISION NOT NULL,
    wp DOUBLE PRECISION NOT NULL,
    wq DOUBLE PRECISION NOT NULL,
    wg DOUBLE PRECISION NOT NULL,
    pp DOUBLE PRECISION NOT NULL,
    pq DOUBLE PRECISION NOT NULL,
    pg DOUBLE PRECISION NOT NULL,
    qq DOUBLE PRECISION NOT NULL,
    qg DOUBLE PRECISION NOT NULL,
    gg DOUBLE PRECISION NOT NULL,
    inverse_pi DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (test_key, block, evaluator_hash, bin)
);

-- Policy snapshots: f per bin, k and r, as they were read at the start of a tick. Append-only.
CREATE TABLE policies (
    policy TEXT PRIMARY KEY,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX policies_by_intent ON policies (indicator, intent, made_at);

-- Versioned rows; the newest of an intent is in force. Changing one starts new tests.
CREATE TABLE objectives (
    objective BIGINT PRIMARY KEY,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    theta0 DOUBLE PRECISION NOT NULL,
    alpha DOUBLE PRECISION NOT NULL,
    false_positive_rate DOUBLE PRECISION NOT NULL,
    owner TEXT NOT NULL,
    risk TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE review_queue (
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    why TEXT NOT NULL,
    pi DOUBLE PRECISION NOT NULL,
    priority DOUBLE PRECISION NOT NULL,
    event_day BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    leased_by TEXT,
    leased_until BIGINT,
    labelled_at BIGINT,
    PRIMARY KEY (request_id, indicator)
);
CREATE INDEX review_queue_open ON review_queue (state, priority);
CREATE INDEX review_queue_by_day ON review_queue (intent, event_day);

-- One row per opinion; nothing is overwritten, a reviewer's newest row counts.
CREATE TABLE labels (
    request_id TEXT NOT NULL,
    indicator TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    value BIGINT,
    note TEXT NOT NULL,
    counts BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, indicator, reviewer, sequence)
);

CREATE TABLE incidents (
    incident TEXT PRIMARY KEY,
    test_key TEXT NOT NULL UNIQUE,
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    deployment TEXT NOT NULL,
    last_good TEXT,
    opened_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    evidence TEXT NOT NULL
);

CREATE TABLE outbox (
    delivery TEXT PRIMARY KEY,
    incident TEXT NOT NULL REFERENCES incidents (incident),
    body BYTEA NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    delivered_at BIGINT,
    owner TEXT,
    last_status TEXT NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, due_at);

-- Every change of an incident or of its delivery: who and why.
CREATE TABLE incident_events (
    incident TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (incident, sequence)
);

CREATE TABLE tickets (
    ticket TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    state TEXT NOT NULL,
    evidence TEXT NOT NULL
);
