-- A new file is looked up among all that its source has.
CREATE INDEX generations_by_path ON generations (path, source);
