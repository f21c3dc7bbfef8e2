-- The rollback protocol, disabled targets and the notices to owners. Conventions as in 0001.

-- Where an incident's rollback is; empty outside of the protocol (historical breaches).
ALTER TABLE incidents ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN stage_at BIGINT NOT NULL DEFAULT 0;
-- Event time when the rollback was sent or acknowledged, and the deployment's share of the intent's requests before it.
ALTER TABLE incidents ADD COLUMN measured_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN share_before DOUBLE PRECISION NOT NULL DEFAULT 1;

UPDATE incidents SET stage_at = opened_at, stage = coalesce((
    SELECT CASE o.state WHEN 'due' THEN 'approved' WHEN 'delivered' THEN 'acknowledged' WHEN 'failed' THEN 'failed'
        WHEN 'cancelled' THEN 'cancelled' ELSE 'proposed' END
    FROM outbox o WHERE o.incident = incidents.incident), '')
WHERE state <> 'historical';

-- Every test whose breach an incident stands for: the one that opened it, and those that joined.
CREATE TABLE incident_keys (
    test_key TEXT PRIMARY KEY,
    incident TEXT NOT NULL REFERENCES incidents (incident),
    joined_at BIGINT NOT NULL
);
INSERT INTO incident_keys (test_key, incident, joined_at) SELECT test_key, incident, opened_at FROM incidents;

ALTER TABLE incident_events ADD COLUMN from_stage TEXT NOT NULL DEFAULT '';
ALTER TABLE incident_events ADD COLUMN to_stage TEXT NOT NULL DEFAULT '';
CREATE INDEX incident_events_by_time ON incident_events (at);

-- When a delivery became due; its age ends it.
ALTER TABLE outbox ADD COLUMN due_since BIGINT NOT NULL DEFAULT 0;
UPDATE outbox SET due_since = created_at;

-- Receivers that answered 410, by the hash of their URL.
CREATE TABLE disabled_targets (
    target TEXT PRIMARY KEY,
    disabled_at BIGINT NOT NULL,
    why TEXT NOT NULL
);

-- Whoever sends the next rollback holds this row until the end of the transaction.
INSERT INTO meta (name, value) VALUES ('rollback_turn', '');

-- What owners are to be told, once per subject and kind.
CREATE TABLE notices (
    notice TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    claimed_by TEXT
);
CREATE INDEX notices_due ON notices (state, due_at);

-- Messages that reached a contact; it is named by its variable and place, never by its URL.
CREATE TABLE notice_messages (
    notice TEXT NOT NULL REFERENCES notices (notice),
    contact TEXT NOT NULL,
    message TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (notice, contact)
);
CREATE INDEX notice_messages_by_time ON notice_messages (sent_at);
