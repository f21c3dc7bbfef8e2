-- Running totals of what only grows, so that nobody has to add up all of it. They are written in the transactions that
-- write what they count. Conventions as in 0001.

-- Of the blocks that are done, by the source that they were read from.
CREATE TABLE read_totals (
    source TEXT PRIMARY KEY,
    blocks BIGINT NOT NULL,
    records BIGINT NOT NULL,
    blanks BIGINT NOT NULL,
    quarantined BIGINT NOT NULL
);
INSERT INTO read_totals (source, blocks, records, blanks, quarantined)
SELECT g.source, count(*), sum(b.records), sum(b.blanks), sum(b.quarantined)
FROM blocks b JOIN generations g ON g.generation = b.generation WHERE b.state = 'done' GROUP BY g.source;

-- Of the scores of evaluators that ask somebody; `costs` counts those whose cost is known.
CREATE TABLE score_totals (
    evaluator TEXT PRIMARY KEY,
    scores BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    unusable BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    costs BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    cost_unknown BIGINT NOT NULL
);
INSERT INTO score_totals (evaluator, scores, cached, unusable, calls, input_tokens, output_tokens, costs, cost_nano_usd,
    cost_unknown)
SELECT evaluator, count(*), sum(CASE WHEN answered_by = 'cache' THEN 1 ELSE 0 END),
    sum(CASE WHEN score IS NULL THEN 1 ELSE 0 END), sum(calls), sum(input_tokens), sum(output_tokens),
    count(cost_nano_usd), coalesce(sum(cost_nano_usd), 0),
    sum(CASE WHEN calls > 0 AND cost_nano_usd IS NULL THEN 1 ELSE 0 END)
FROM verdicts WHERE asks = 1 GROUP BY evaluator;

-- Of the verdicts with a score: who decided, why, and whether a spent budget had a say in it.
CREATE TABLE decision_totals (
    evaluator TEXT NOT NULL,
    why TEXT NOT NULL,
    spent BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    PRIMARY KEY (evaluator, why, spent)
);
INSERT INTO decision_totals (evaluator, why, spent, samples)
SELECT v.evaluator, o.why, o.spent, count(*)
FROM outcomes o JOIN verdicts v ON v.request_id = o.request_id AND v.indicator = o.indicator
WHERE v.decided = 1 AND v.score IS NOT NULL GROUP BY v.evaluator, o.why, o.spent;
