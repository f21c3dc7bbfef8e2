-- An example of each reason, without looking at every line that is in quarantine.
CREATE INDEX quarantine_by_reason ON quarantine (source, reason, generation, start);
