"""Two weeks of production in a minute: a log, the job, simulated reviewers, and what comes of a bad release."""

import json
import random
import secrets
import shlex
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines import jobs, sampling
from tidegauge import show
from tidegauge.alerts.act import import_and_act
from tidegauge.alerts.webhook import SECRET
from tidegauge.config import Config, JobSection, ReviewSection, RollbackSection, SamplingSection, StoreSection
from tidegauge.config import WebhookSection as Webhook
from tidegauge.demo.log import REGRESSED_FROM, START, TOPICS, SupportAssistant
from tidegauge.domain import DAY, SECOND
from tidegauge.errors import UsageError
from tidegauge.program import called_as
from tidegauge.service.incidents import incident_rows
from tidegauge.service.report import slo_rows, standing
from tidegauge.service.review import export_cases
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

SAMPLED = 0.2
MISSED = 0.10
FALSE_POSITIVE = 0.003
REVIEWERS = ("simulated-reviewer-1", "simulated-reviewer-2")

_MARK = ".tidegauge-demo"
Say = Callable[[str], None]


class DayClock:
    """Stands at the end of a simulated day."""

    def __init__(self) -> None:
        self.day = 0

    def now(self) -> int:
        return int(START.timestamp()) * SECOND + self.day * DAY


def run(directory: Path, *, seed: int, regress: str | None, requests: int, days: int, environ: Any, say: Say) -> None:
    """Plays the demo into a directory that is new, empty or an earlier demo's. Raises UsageError."""
    if regress is not None and regress not in TOPICS:
        raise UsageError(f"--regress {regress}: there is no such intent; choose {', '.join(TOPICS)} or none")
    logs = _fresh(directory)
    secret = environ.setdefault(SECRET, "whsec_" + b64encode(secrets.token_bytes(32)).decode())
    assistant, clock = SupportAssistant(seed, requests, days, regress), DayClock()
    say(f"{requests} requests of a support assistant over {days} days; {SAMPLED:.0%} are sampled, and judged by")
    say("heuristics alone: no LLM judge is configured. The two reviewers are simulated: they miss 10 % of the")
    say("hallucinations and flag 0.3 % of the good answers.")
    if regress is not None:
        say(f"A release on day {REGRESSED_FROM} makes {regress} hallucinate in 15 % of its answers.")
    with WebhookReceiver(secret) as receiver:
        config = _config(directory, receiver.hook)
        store = Store(config.store.url)
        try:
            migrate(store)
            with store.write() as tx:
                sampling.keep_key(tx, f"demo {seed}".encode())
            for day in range(1, days + 1):
                clock.day = day
                _day(config, store, clock, assistant, logs, seed, say)
            _tell(config, store, receiver, directory, say)
        finally:
            store.close()


def _fresh(directory: Path) -> Path:
    if directory.exists() and any(directory.iterdir()):
        if not (directory / _MARK).exists():
            raise UsageError(f"{directory} is not empty and no earlier demo: name another with --directory")
        shutil.rmtree(directory)
    logs = directory / "logs"
    logs.mkdir(parents=True)
    (directory / _MARK).touch()
    return logs


def _config(directory: Path, hook: str) -> Config:
    return Config(
        store=StoreSection(url=f"sqlite:///{directory.absolute()}/tidegauge.db"),
        sampling=SamplingSection(rate=SAMPLED),
        review=ReviewSection(labels_per_day=20, false_positive_rate=FALSE_POSITIVE),
        rollback=RollbackSection(mode="auto", webhook=Webhook(url=hook)),
        job=JobSection(block_bytes=4 << 20),
        directory=directory,
    )


def _day(
    config: Config, store: Store, clock: DayClock, assistant: SupportAssistant, logs: Path, seed: int, say: Say
) -> None:
    """A day of production: traffic, the job, labels, and the job again."""
    assistant.write_day(logs, clock.day)
    source = f"{logs}/*.jsonl"
    jobs.run_silently(config, store, clock, source)
    with store.read() as tx:
        cases = list(export_cases(tx))
    labels = list(_labels(cases, assistant.truth, seed))
    import_and_act(store, config, clock, labels)
    jobs.run_silently(config, store, clock, source)
    with store.read() as tx:
        found = len(incident_rows(tx))
    say(
        f"day {clock.day:2}: {len(labels):3} labels by simulated reviewers, {found} incident{'' if found == 1 else 's'}"
    )


def _labels(cases: list[dict[str, Any]], truth: dict[str, bool], seed: int) -> Iterator[str]:
    for case in cases:
        name = case["request_id"]
        rng = random.Random(f"{seed}:{name}")  # noqa: S311 - a simulation
        said = rng.random() >= MISSED if truth[name] else rng.random() < FALSE_POSITIVE
        yield json.dumps({"request_id": name, "hallucinated": said, "reviewer": rng.choice(REVIEWERS)})


def _tell(config: Config, store: Store, receiver: WebhookReceiver, directory: Path, say: Say) -> None:
    with store.read() as tx:
        rows = slo_rows(tx, {"*": config.objective("*").theta0})
        incidents = incident_rows(tx)
        places = standing(tx)
    say("")
    say(show.slo_table(rows, places))
    say("")
    for row in incidents:
        evidence = row["evidence"]
        say(f"incident {row['id']}: {row['intent']} on {show.deployment(row['deployment'])}, opened {row['opened_at']}")
        say(
            f"  rate {show.percent(evidence['rate'])} {show.interval(evidence['low'], evidence['high'])} against "
            f"{show.percent(evidence['theta0'])}; log e {evidence['log_e']:.1f}; "
            f"{evidence['judged']} judged, {evidence['labelled']} labelled, {evidence['positives']} positive"
        )
    if not incidents:
        say("no incident: nothing is provably above its objective")
    for delivery in receiver.deliveries:
        check = "passed" if delivery.verified else "FAILED"
        say(f"webhook {delivery.webhook_id}, signature check {check}:")
        say(json.dumps(json.loads(delivery.body), indent=2))
    say("")
    say(f"the store: {config.store.url}")
    program = called_as(sys.argv[0])
    say(f"next: {program} --store {shlex.quote(config.store.url)} slo      (or status, incidents, tickets)")
    say(f"      {program} init      for your own log")
    say(f"the log: {directory}/logs")
