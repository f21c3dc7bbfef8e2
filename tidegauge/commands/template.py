"""The configuration that `tidegauge init` writes: every key, those that need no change commented out.

A line that begins with # and a blank is words. Any other # stands before a key with its default, or with an example
where there is none; without it the line counts.
"""

TEMPLATE = """\
# Tidegauge's configuration. It works as it is; relative paths are relative to this file.
# Every key is here. One behind a # has its default, or an example where there is none: take the # away to set it.
# The environment overrides what stands here: TIDEGAUGE_STORE_URL, TIDEGAUGE_SAMPLING_RATE and so on.
# Secrets are read from the environment only: TIDEGAUGE_SAMPLING_KEY, TIDEGAUGE_JUDGE_API_KEY and
# TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET.

store:
  url: sqlite:///tidegauge.db          # or postgresql://HOST/NAME
  #retention_days: 90                  # texts that are older are removed; by default they are kept for ever
  #rollup_days: 400                    # the same for five-minute rollups
  # The rest is for PostgreSQL; 0 is no timeout.
  #pool_size: 4                        # connections of a process at most
  #connect_timeout_seconds: 10
  #statement_timeout_seconds: 60
  #lock_timeout_seconds: 30
  #idle_in_transaction_seconds: 300
  #outage_seconds: 120                 # how long a job waits for a server that was there before
  #prepared_statements: true           # false behind a pooler that does not know them

sources:                               # JSON lines, a request each: docs/request-log.md
  - files: "logs/*.jsonl"              # also .gz, .zst, .parquet, s3:// and gs://
  #- kafka: "broker:9092"              # HOST:PORT, with commas between several
  #  topics: requests                  # a name, a pattern that begins with ^, or a list of them
  #  group: tidegauge                  # what was read is kept under this name; another one begins anew
  #  start: earliest                   # where a new topic is begun: earliest or latest
  #  record_bytes: 2048                # usual size of a record
  #  headers: {}                       # fields that come from headers, FIELD: HEADER
  #  config: {}                        # settings of librdkafka
  #  config_env: {}                    # the same for secrets: names of environment variables

sampling:
  rate: 0.02                           # share of the requests that is judged; fixed by the first run, see
                                       # `tidegauge sampling set`
  #escalate: true                      # five times as much of a deployment while evidence of it is wanted

intents:
  "*":                                 # every intent that is not named below
    objective: 0.03                    # highest share of hallucinated answers that is still good enough
    owner: platform
    #risk: normal                      # high: at most 3 % bad answers are allowed
  #refunds.policy: {objective: 0.01, risk: high, owner: payments}

objectives: ["slo/*.yaml"]             # OpenSLO files; what they say wins over `objective` above

#owners:                               # who is told; docs/on-call.md
#  payments:
#    contacts_env: PAYMENTS_CONTACTS   # name of the variable that holds the contact URLs (apprise)
#    timezone: UTC
#    quiet_hours: "22:00-07:00"        # tickets wait until they end; none by default
#    pages_per_hour: 12                # messages at most
#    tickets_per_hour: 2
#    on_call:                          # pages go to the first shift on duty, else to contacts_env
#      - contacts_env: PAYMENTS_DAY
#        days: [mon, tue, wed, thu, fri, sat, sun]
#        hours: "00:00-24:00"

evaluation:
  evaluators: [rules, overlap, judge]  # cheap to dear; without a judge the heuristics decide
  # A step that may spare the judge, once labels allow: {name: overlap, stop_below: 0.005, stop_above: 0.6}
  #plugins: []                         # evaluators of your own, MODULE:NAME
  #indicators: {}                      # the judge of each further indicator, such as {refusal: second}

#judge:                                # on when base_url is set; any OpenAI-compatible endpoint: docs/evaluators.md
#  base_url: http://127.0.0.1:8000/v1
#  model: my-model
#  api_key_env: TIDEGAUGE_JUDGE_API_KEY   # name of the variable that holds the key
#  rubric: hallucination@1.0.0         # `tidegauge rubric list`
#  owner: platform                     # who is told when it changes or does not answer
#  concurrency: 64                     # calls at once at most; it adapts below
#  timeout_seconds: 30                 # of one call
#  max_output_tokens: 1024
#  cutoff_seconds: 5                   # then the next fallback is asked; never by default
#  fallbacks: []                       # asked in turn, {base_url, model, api_key_env} each
#  hedge_seconds: 10                   # then a second call is made; never by default
#  requests_per_minute: 600            # no limit by default
#  tokens_per_minute: 1000000          # no limit by default
#  budget:                             # of a UTC day, over all workers; no limit by default
#    usd_per_day: 20
#    calls_per_day: 5000
#    tokens_per_day: 10000000
#  votes: 1                            # how often it is asked where its score lies within `uncertain`
#  uncertain: [0.3, 0.7]
#  panel: []                           # instead of a base_url: names of judges that vote

#judges:                               # further judges by name, with the keys of `judge`
#  second: {base_url: "http://127.0.0.1:8001/v1", model: other-model, rubric: refusal@1.0.0}

#rubrics: rubrics                      # folder of rubrics of your own, NAME/VERSION.yaml

#gold:
#  per_day: 40                         # cases with known labels that pass through the judges: docs/judge-health.md

#prices:                               # what the public list lacks, or has otherwise
#  - {model: my-model, from: "2026-01-01", input_per_million: 0.5, output_per_million: 2}

review:
  labels_per_day: 20                   # per intent and day: what your reviewers can do
  confirmations: 1                     # reviewers who must agree before an answer counts as hallucinated
  #false_positive_rate: 0              # share of good answers that reviewers reject
  #due_hours: 48                       # a review that is not back by then is missed

rollback:                              # docs/rollback.md
  mode: dry_run                        # dry_run stores the webhook, approve holds it, auto sends it
  #intents: {}                         # another mode for some intents, such as {refunds.policy: auto}
  #webhook: {url: https://deploy.example/rollback}
  #approval_hours: 24                  # not approved by then: it has failed, and somebody is told
  #cool_down_hours: 6                  # between two rollbacks of one intent
  #most_per_day: 3
  #verify_minutes: 60                  # in which the traffic has to leave
  #verify_share: 0.05                  # of the intent's requests: below it the traffic has left
  #dead_letter_hours: 24               # a webhook that cannot be delivered for so long is given up
  #link: "https://tidegauge.example/incidents/{incident}"   # where people read about an incident

#canaries:                             # docs/canary.md
#  - name: new-prompt
#    canary: {cohort: canary, experiment: prompt-ab, feature: chat}
#    control: {model_version: m-1, prompt_version: p-1, retrieval_index: i-1}   # by default all other traffic
#    intent: "*"
#    latency_ms: 120                   # by which the 95th percentile may be worse
#    success_drop: 0.05                # by which the share of good requests may be
#    alpha: 0.001                      # chance that a canary that is no worse is shifted back
#    owner: platform

#job:
#  block_bytes: 67108864               # of a file that are one unit of work
#  portion_blocks: 5                   # blocks of a tick
#  oldest_days: 30                     # records that are older are quarantined; never by default

#telemetry:                            # docs/metrics.md
#  otlp_endpoint: http://127.0.0.1:4318   # verdicts as OpenTelemetry events, over OTLP/HTTP; off by default
#  service_name: tidegauge
#  timeout_seconds: 5

#stream:                               # for `tidegauge stream`; docs/engines.md
#  tick_seconds: 1
#  in_flight_blocks: 16                # in work at once, over all workers
#  in_flight_samples: 2048
#  pending_order: oldest               # or newest: which samples are judged first when the judge is slow
#  shed_after_hours: 24                # samples that wait for longer keep a cheaper verdict; never by default
#  drain_seconds: 60                   # how long SIGTERM waits for what is in work
#  prism: {location: /opt/prism}       # by default on PATH or in .engine
#  flink:
#    job_endpoint: "127.0.0.1:8099"    # of Beam's job server
#    artifact_endpoint: "127.0.0.1:8098"   # by default what the job server says
#    rest: "http://127.0.0.1:8081"     # Flink's own address, by which a job is cancelled
#    parallelism: 1
#    checkpoint_seconds: 1
#    environment: loopback             # how its workers get Python: loopback, external, process or docker
#    environment_config: tidegauge-worker
#  options: []                         # further Beam options
"""
