-- Compressed files that wait beside the log whose lines they hold.
CREATE TABLE copies (
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    original TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (source, path)
);
