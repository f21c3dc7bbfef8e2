-- Fire drills: what was rehearsed, and whether it was found in time. Conventions as in 0001.
CREATE TABLE drills (
    drill TEXT PRIMARY KEY,
    intent TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    report TEXT NOT NULL
);
