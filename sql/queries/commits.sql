-- name: finish_block
UPDATE blocks SET state = 'done', done_at = :done_at, owner = NULL, records = :records, blanks = :blanks,
    quarantined = :quarantined
WHERE generation = :generation AND start = :start AND stop = :stop AND state = 'planned'
RETURNING generation

-- name: add_read_total
INSERT INTO read_totals (source, blocks, records, blanks, quarantined)
VALUES (:source, 1, :records, :blanks, :quarantined)
ON CONFLICT (source) DO UPDATE SET blocks = read_totals.blocks + 1, records = read_totals.records + excluded.records,
    blanks = read_totals.blanks + excluded.blanks, quarantined = read_totals.quarantined + excluded.quarantined

-- name: insert_quarantine
INSERT INTO quarantine (generation, block_start, start, length, source, reason, detail, sha256, raw)
VALUES (:generation, :block_start, :start, :length, :source, :reason, :detail, :sha256, :raw)

-- name: add_quarantine_count
INSERT INTO quarantine_counts (source, reason, records) VALUES (:source, :reason, :records)
ON CONFLICT (source, reason) DO UPDATE SET records = quarantine_counts.records + excluded.records

-- name: insert_deployment
INSERT INTO deployments (deployment, model_version, prompt_version, retrieval_index)
VALUES (:deployment, :model_version, :prompt_version, :retrieval_index)
ON CONFLICT (deployment) DO NOTHING

-- name: insert_segment
INSERT INTO segments (segment, intent, feature, deployment, cohort, experiment, served_by)
VALUES (:segment, :intent, :feature, :deployment, :cohort, :experiment, :served_by)
ON CONFLICT (segment) DO NOTHING

-- name: insert_account
INSERT INTO accounts (account, tenant, feature, intent, deployment, provider)
VALUES (:account, :tenant, :feature, :intent, :deployment, :provider)
ON CONFLICT (account) DO NOTHING

-- name: touch_five_minutes
INSERT INTO rollup_5m (bucket, segment, requests, errors, timeouts, feedback_up, feedback_neutral, feedback_down,
    input_tokens, output_tokens, cost_nano_usd, cost_unknown, latency, retrieval_latency)
VALUES (:bucket, :segment, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '')
ON CONFLICT (bucket, segment) DO UPDATE SET requests = rollup_5m.requests

-- name: five_minutes_between
SELECT bucket, segment, latency, retrieval_latency FROM rollup_5m WHERE bucket BETWEEN :first AND :last

-- name: add_five_minutes
INSERT INTO rollup_5m (bucket, segment, requests, errors, timeouts, feedback_up, feedback_neutral, feedback_down,
    input_tokens, output_tokens, cost_nano_usd, cost_unknown, latency, retrieval_latency)
VALUES (:bucket, :segment, :requests, :errors, :timeouts, :feedback_up, :feedback_neutral, :feedback_down,
    :input_tokens, :output_tokens, :cost_nano_usd, :cost_unknown, :latency, :retrieval_latency)
ON CONFLICT (bucket, segment) DO UPDATE SET
    requests = rollup_5m.requests + excluded.requests,
    errors = rollup_5m.errors + excluded.errors,
    timeouts = rollup_5m.timeouts + excluded.timeouts,
    feedback_up = rollup_5m.feedback_up + excluded.feedback_up,
    feedback_neutral = rollup_5m.feedback_neutral + excluded.feedback_neutral,
    feedback_down = rollup_5m.feedback_down + excluded.feedback_down,
    input_tokens = rollup_5m.input_tokens + excluded.input_tokens,
    output_tokens = rollup_5m.output_tokens + excluded.output_tokens,
    cost_nano_usd = rollup_5m.cost_nano_usd + excluded.cost_nano_usd,
    cost_unknown = rollup_5m.cost_unknown + excluded.cost_unknown,
    latency = excluded.latency,
    retrieval_latency = excluded.retrieval_latency

-- name: add_day
INSERT INTO rollup_day (day, account, requests, input_tokens, output_tokens, cost_nano_usd, cost_unknown)
VALUES (:day, :account, :requests, :input_tokens, :output_tokens, :cost_nano_usd, :cost_unknown)
ON CONFLICT (day, account) DO UPDATE SET
    requests = rollup_day.requests + excluded.requests,
    input_tokens = rollup_day.input_tokens + excluded.input_tokens,
    output_tokens = rollup_day.output_tokens + excluded.output_tokens,
    cost_nano_usd = rollup_day.cost_nano_usd + excluded.cost_nano_usd,
    cost_unknown = rollup_day.cost_unknown + excluded.cost_unknown

-- name: add_cell
INSERT INTO cells (intent, deployment, block, requests, sampled, final, first_at, last_at)
VALUES (:intent, :deployment, :block, :requests, :sampled, 0, :first_at, :last_at)
ON CONFLICT (intent, deployment, block) DO UPDATE SET
    requests = cells.requests + excluded.requests,
    sampled = cells.sampled + excluded.sampled,
    first_at = CASE WHEN excluded.first_at < cells.first_at THEN excluded.first_at ELSE cells.first_at END,
    last_at = CASE WHEN excluded.last_at > cells.last_at THEN excluded.last_at ELSE cells.last_at END

-- name: move_cell_sample
UPDATE cells SET sampled = sampled + :change
WHERE intent = :intent AND deployment = :deployment AND block = :block

-- name: add_tally
INSERT INTO tallies (intent, plan, unsampled, sampled, repeats)
VALUES (:intent, :plan, :unsampled, :sampled, :repeats)
ON CONFLICT (intent, plan) DO UPDATE SET
    unsampled = tallies.unsampled + excluded.unsampled,
    sampled = tallies.sampled + excluded.sampled,
    repeats = tallies.repeats + excluded.repeats

-- name: insert_sample
INSERT INTO samples (request_id, sha256, timestamp, intent, deployment, served_by, tenant, feature, cohort, experiment,
    provider, pi1, plan, payload, state, owner, sweep, free_at, generation, block_start, ingested_at)
VALUES (:request_id, :sha256, :timestamp, :intent, :deployment, :served_by, :tenant, :feature, :cohort, :experiment,
    :provider, :pi1, :plan, :payload, 'pending', :owner, :sweep, :free_at, :generation, :block_start, :ingested_at)
ON CONFLICT (request_id) DO NOTHING

-- name: samples_of_block
SELECT request_id FROM samples WHERE request_id IN :ids AND generation = :generation AND block_start = :start

-- name: standing_samples
SELECT request_id, sha256, timestamp, intent, deployment, served_by, plan, state FROM samples WHERE request_id IN :ids
/*postgresql ORDER BY request_id COLLATE "C" FOR UPDATE */

-- name: flag_conflicting
UPDATE samples SET conflicting = 1 WHERE request_id = :request_id

-- name: replace_sample
UPDATE samples SET sha256 = :sha256, timestamp = :timestamp, intent = :intent, deployment = :deployment,
    served_by = :served_by, tenant = :tenant, feature = :feature, cohort = :cohort, experiment = :experiment,
    provider = :provider, pi1 = :pi1, plan = :plan, payload = :payload
WHERE request_id = :request_id AND state = 'pending'
