-- Surges: the snapshot in force of each intent, with its bucket, and the number of bets that a test began with.

ALTER TABLE test_keys ADD COLUMN bets BIGINT NOT NULL DEFAULT 8;

-- `at` and `since` are event times; `bucket` and `capacity` count labels; `log_m` is the highest running evidence of the
-- intent's live deployments, and `deployment` whose it is.
CREATE TABLE snapshots (
    indicator TEXT NOT NULL,
    intent TEXT NOT NULL,
    policy TEXT NOT NULL,
    at BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    s DOUBLE PRECISION NOT NULL,
    bucket DOUBLE PRECISION NOT NULL,
    capacity DOUBLE PRECISION NOT NULL,
    log_m DOUBLE PRECISION,
    deployment TEXT NOT NULL,
    since BIGINT,
    PRIMARY KEY (indicator, intent)
);
