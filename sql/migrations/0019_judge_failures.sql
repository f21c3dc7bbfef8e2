-- Judges that have not answered since their last answer: how often, why, since when. One that answers has no row.
CREATE TABLE judge_failures (
    judge TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    since BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    reason TEXT NOT NULL
);
