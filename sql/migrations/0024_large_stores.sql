-- What is asked on each tick, or while a write transaction is open, must not take longer the more there is in the store.

-- Pending samples in the order of their event time, and of those that somebody holds. No index begins with the state:
-- SQLite takes it for a good one, and then looks at all that are pending.
DROP INDEX IF EXISTS samples_by_state;
CREATE INDEX samples_by_intent ON samples (intent, state);
DROP INDEX IF EXISTS samples_pending;
CREATE INDEX samples_waiting ON samples (ingested_at) WHERE state = 'pending';
CREATE INDEX samples_by_turn ON samples (timestamp) WHERE state = 'pending';
CREATE INDEX samples_in_hand ON samples (owner) WHERE state = 'pending';

-- The newest blocks of all traffic, and of an intent's.
CREATE INDEX cells_by_block ON cells (block);
CREATE INDEX cells_by_intent ON cells (intent, block);

-- What is rare among much.
CREATE INDEX samples_conflicting ON samples (request_id) WHERE conflicting = 1;
