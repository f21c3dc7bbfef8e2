"""`tidegauge init [DIR]`."""

from pathlib import Path

from tidegauge.commands.context import Context, note
from tidegauge.commands.example_slos import EXAMPLE
from tidegauge.config_load import DEFAULT_NAME
from tidegauge.errors import TidegaugeError, UsageError

TEMPLATE = """\
# Tidegauge's configuration. It works as it is; relative paths are relative to this file.
# The environment overrides what stands here: TIDEGAUGE_STORE_URL, TIDEGAUGE_SAMPLING_RATE and so on.
# Secrets are read from the environment only: TIDEGAUGE_SAMPLING_KEY, TIDEGAUGE_JUDGE_API_KEY and
# TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET.

store:
  url: sqlite:///tidegauge.db          # or postgresql://HOST/NAME

sources:                               # JSON lines, a request each; .jsonl or .jsonl.gz
  - files: "logs/*.jsonl"
  # - {kafka: "broker:9092", topics: requests}   # a name or a pattern, ^requests-.*; docs/kafka.md

sampling:
  rate: 0.02                           # share of the requests that is judged; fixed by the first run, see
                                       # `tidegauge sampling set`

intents:
  "*":                                 # every intent that is not named below
    objective: 0.03                    # highest share of hallucinated answers that is still good enough
    owner: platform
  # refunds.policy: {objective: 0.01, risk: high, owner: payments}

objectives: ["slo/*.yaml"]             # OpenSLO files; what they say wins over `objective` above

owners: {}
  # payments: {contacts_env: PAYMENTS_CONTACTS}   # name of the variable that holds the contact URLs (apprise)

evaluation:
  evaluators: [rules, overlap, judge]  # cheap to dear; without a judge the heuristics decide
  # - {name: overlap, stop_below: 0.005, stop_above: 0.6}   # a step that may spare the judge, once labels allow

judge: {}                              # on when base_url is set; any OpenAI-compatible endpoint
  # base_url: https://judge.example/v1
  # model: my-model
  # rubric: hallucination@1.0.0
  # concurrency: 64
  # budget: {calls_per_day: 5000}      # or usd_per_day, tokens_per_day; over all workers

prices: []
  # - {model: my-model, from: 2026-01-01, input_per_million: 0.5, output_per_million: 2}

review:
  labels_per_day: 20                   # per intent and day: what your reviewers can do
  confirmations: 1                     # reviewers who must agree before an answer counts as hallucinated

telemetry: {}
  # otlp_endpoint: http://127.0.0.1:4318   # verdicts as OpenTelemetry events, over OTLP/HTTP

stream: {}                             # for `tidegauge stream`; docs/engines.md
  # tick_seconds: 1
  # prism: {location: /opt/prism}      # by default on PATH or in .engine
  # flink: {job_endpoint: "jobserver:8099", rest: "http://jobmanager:8081", parallelism: 4, environment: process}

rollback:
  mode: dry_run                        # dry_run stores the webhook, approve holds it, auto sends it
  # webhook: {url: https://deploy.example/rollback}
  # intents: {refunds.policy: auto}    # another mode for some intents
  # approval_hours: 24                 # not approved by then: it has failed, and somebody is told
  # cool_down_hours: 6                 # between two rollbacks of one intent
  # most_per_day: 3
  # verify_minutes: 60                 # in which the traffic has to leave
"""


def run(context: Context) -> int:
    """Writes the files; never over others."""
    directory = context.args.directory
    _write(directory / DEFAULT_NAME, TEMPLATE)
    if not any((directory / "slo").glob("*.yaml")):
        _write(directory / "slo" / "objectives.yaml", EXAMPLE)
    note("next: set `sources` to your log, then `tidegauge check` and `tidegauge run`")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already and stays as it is; name another directory") from None
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be written: {error.strerror}") from None
    note(f"wrote {path}")
