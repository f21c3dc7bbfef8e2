-- Trials of canaries against their control: one per canary and deployment. Conventions as in 0001.
CREATE TABLE canaries (
    canary TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    deployment TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    evidence TEXT NOT NULL,
    breached_at BIGINT
);
