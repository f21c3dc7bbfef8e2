-- Five-minute rollups by month of event time, so that a month can go as a whole. What was there before, and what is of no
-- month that was made ahead of it, is in the rest.
ALTER TABLE rollup_5m RENAME TO rollup_5m_rest;
ALTER INDEX rollup_5m_pkey RENAME TO rollup_5m_rest_pkey;
CREATE TABLE rollup_5m (LIKE rollup_5m_rest, PRIMARY KEY (bucket, segment)) PARTITION BY RANGE (bucket);
ALTER TABLE rollup_5m ATTACH PARTITION rollup_5m_rest DEFAULT;
