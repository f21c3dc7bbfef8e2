"""Runs a drill: log, job, judge, queue, labels, decision, webhook, with the configuration of production.

All of it happens in a temporary store, so that no number of production can change. What is measured is event time,
items and labels from the release of the drill to its webhook, and wall time on the way.
"""

import json
import os
import secrets
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pipelines import jobs, sampling
from tidegauge.alerts.act import import_and_act
from tidegauge.alerts.webhook import SECRET
from tidegauge.config import Config, RollbackSection, SamplingSection, StoreSection, WebhookSection
from tidegauge.domain import DAY, HOUR, SECOND, TEST_BLOCK, Micros, Request, Value, iso, short_hash
from tidegauge.drill.scenario import MARK, START, Plan, Scenario
from tidegauge.service import tickets
from tidegauge.service.incidents import incident_rows
from tidegauge.service.review import export_cases
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store, Transaction
from tidegauge.testing.receiver import Delivery, WebhookReceiver

MOST_REQUESTS = 4_000
"""A day. With more in production, fewer are written and a larger share is sampled: as many are judged."""

MATERIAL = 500
_FEWEST_JUDGED = 20
_WEEK = 7 * DAY
_TICKET = "drill_failed"

Say = Callable[[str], None]


class Target(Value, frozen=True, kw_only=True):
    """When a drill has passed."""

    days: float
    """Event time from the release to the webhook, at most."""


class Traffic(Value, frozen=True, kw_only=True):
    """What an intent has in production."""

    requests_per_day: int
    rate: float
    material: tuple[Request, ...]


class QuarterClock:
    """Stands at the end of a quarter of a day."""

    def __init__(self) -> None:
        self.quarters = 0

    def now(self) -> Micros:
        return int(START.timestamp()) * SECOND + self.quarters * 6 * HOUR


def traffic(tx: Transaction, intent: str, rate: float) -> Traffic:
    """Of the last week in the store, with what was judged good as material. `rate` is the configured sampling rate."""
    newest = tx.value("newest_traffic") or 0
    row = tx.first("traffic_of_intent", intent=intent, since=(newest - _WEEK) // TEST_BLOCK) or {}
    decode = msgspec.json.Decoder(Request).decode
    material = tuple(decode(bytes(r["payload"])) for r in tx.rows("drill_material", intent=intent, most=MATERIAL))
    if not row.get("requests"):
        return Traffic(requests_per_day=MOST_REQUESTS, rate=rate, material=material)
    days = max((row["last_at"] - row["first_at"]) / DAY, 1.0)
    requests, sampled = int(row["requests"]) / days, int(row["sampled"]) / days
    written = min(max(int(requests), 4), MOST_REQUESTS)
    return Traffic(requests_per_day=written, rate=min(1.0, max(sampled, _FEWEST_JUDGED) / written), material=material)


def run(config: Config, plan: Plan, found: Traffic, target: Target, label_hours: float, say: Say) -> dict[str, Any]:
    """Rehearses; the report. Ends at the first webhook, or when the days of the plan are over.

    `label_hours` is how long a simulated reviewer takes for a case.
    """
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="tidegauge-drill-") as place,
        _own_secret() as secret,
        WebhookReceiver(secret) as receiver,
        closing(Store(f"sqlite:///{place}/drill.db")) as store,
    ):
        migrate(store)
        with store.write() as tx:
            sampling.keep_key(tx, f"{MARK} {plan.seed}".encode())
        rehearsed = _config(config, store.url, found.rate, receiver.hook)
        rehearsal = _Rehearsal(rehearsed, store, Scenario(plan, found.material), Path(place), label_hours)
        for quarter in range(rehearsal.scenario.quarters):
            rehearsal.tick(quarter)
            if receiver.deliveries:
                break
            if quarter % 4 == 3:
                say(f"day {(quarter + 1) // 4}: {len(rehearsal.scenario.truth)} requests, no webhook yet")
        return _report(rehearsal, receiver, target, time.monotonic() - began)


def keep(tx: Transaction, report: dict[str, Any], owner: str, now: Micros) -> None:
    """The report, and a ticket for the intent's owner while the last drill has failed."""
    tx.run(
        "keep_drill",
        drill=report["id"],
        intent=report["intent"],
        began_at=now,
        passed=int(report["passed"]),
        report=json.dumps(report, sort_keys=True),
    )
    subject = {"intent": report["intent"]}
    if report["passed"]:
        tickets.close_ticket(tx, tickets.ticket_id(_TICKET, subject), now)
    else:
        evidence = {"drill": report["id"], "failures": report["failures"]}
        tickets.open_ticket(tx, kind=_TICKET, subject=subject, owner=owner, evidence=evidence, now=now)


def history(tx: Transaction) -> list[dict[str, Any]]:
    return [{"began_at": iso(row["began_at"]), **json.loads(row["report"])} for row in tx.rows("drills")]


def passed_since(tx: Transaction, intent: str, since: Micros) -> bool:
    """Whether a drill of the intent has passed since then."""
    return any(r["intent"] == intent and r["passed"] and r["began_at"] >= since for r in tx.rows("drills"))


@contextmanager
def _own_secret() -> Iterator[str]:
    """A signing secret of the drill's own; production's is never used."""
    kept = os.environ.get(SECRET)
    os.environ[SECRET] = secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    try:
        yield secret
    finally:
        if kept is None:
            del os.environ[SECRET]
        else:
            os.environ[SECRET] = kept


def _config(config: Config, url: str, rate: float, hook: str) -> Config:
    """Production's, but for the store, the webhook's target and the sampling rate."""
    return msgspec.structs.replace(
        config,
        store=StoreSection(url=url),
        sampling=SamplingSection(rate=rate),
        rollback=RollbackSection(mode="auto", webhook=WebhookSection(url=hook)),
        canaries=(),
    )


class _Rehearsal:
    """The job, and reviewers who need some hours."""

    def __init__(self, config: Config, store: Store, scenario: Scenario, place: Path, label_hours: float) -> None:
        self.store, self.scenario, self.clock = store, scenario, QuarterClock()
        self._config, self._label_hours = config, label_hours
        self._logs = place / "logs"
        self._logs.mkdir()
        self._asked: dict[str, int] = {}

    def tick(self, quarter: int) -> None:
        """Six more hours of traffic, the job over them, and the labels that have come back meanwhile."""
        self.clock.quarters = quarter + 1
        self.scenario.write_quarter(self._logs, quarter)
        jobs.run_silently(self._config, self.store, self.clock, f"{self._logs}/*.jsonl")
        with self.store.read() as tx:
            queued = [case["request_id"] for case in export_cases(tx)]
        for name in queued:
            self._asked.setdefault(name, quarter)
        due = [name for name in queued if 6 * (quarter - self._asked[name]) >= self._label_hours]
        if due:
            truth = self.scenario.truth
            lines = [json.dumps({"request_id": n, "hallucinated": truth[n], "reviewer": MARK}) for n in due]
            import_and_act(self.store, self._config, self.clock, lines)


def _report(rehearsal: _Rehearsal, receiver: WebhookReceiver, target: Target, seconds: float) -> dict[str, Any]:
    plan, now = rehearsal.scenario.plan, rehearsal.clock.now()
    with rehearsal.store.read() as tx:
        incidents, state = incident_rows(tx), status(tx, now)
    incident = incidents[0] if incidents else None
    delivered = receiver.deliveries[0] if receiver.deliveries else None
    days = (now - int(rehearsal.scenario.released_at.timestamp()) * SECOND) / DAY if delivered else None
    failures = _failures(plan, incident, delivered, days, target)
    return {
        "id": short_hash(MARK, plan.intent, str(time.time_ns())),
        "intent": plan.intent,
        "passed": not failures,
        "failures": failures,
        "rate": plan.rate,
        "base_rate": plan.base_rate,
        "target_days": target.days,
        "found_after_days": days,
        "named": incident["deployment"]["prompt_version"] if incident else None,
        "evidence": incident["evidence"] if incident else None,
        "seen": state["seen"],
        "judged": state["judged"],
        "unscored": state["unscored"],
        "pending": state["pending"],
        "labelled": state["review"]["labelled"],
        "seconds": round(seconds, 1),
    }


def _failures(
    plan: Plan, incident: dict[str, Any] | None, delivered: Delivery | None, days: float | None, target: Target
) -> list[str]:
    """What went wrong on the way; nothing where the drill has passed."""
    if delivered is None or days is None:
        return [f"no webhook within {plan.days} days of the release"]
    found = []
    if days <= 0:
        found.append("the webhook came before the release: a false alarm")
    elif days > target.days:
        found.append(f"found after {days:g} days, and the target is {target.days:g}")
    if incident is None or incident["deployment"]["id"] != plan.bad.id:
        found.append("the webhook does not name the release")
    if not delivered.verified:
        found.append("the webhook's signature is wrong")
    return found
