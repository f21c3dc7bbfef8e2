"""Breaches on a real store, at hours after START, and the history of an incident."""

from itertools import count

from tests.service.world import NEW, OLD, START, ingest, judge, label, request
from tests.support.ingest import Now
from tidegauge.alerts.act import act
from tidegauge.alerts.event import rollback_body
from tidegauge.config import Config, RollbackSection, WebhookSection
from tidegauge.domain import HOUR, Deployment, Micros
from tidegauge.service import tickets
from tidegauge.service.decide import behind, decide
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

SENT = ["proposed", "approved", "sent", "acknowledged"]
"""The stages of a rollback that the receiver took."""

KEY = "whsec_" + "QUJD" * 8
_numbers = count(1)


def at(hours: float) -> Micros:
    return START + int(hours * HOUR)


def clock(hours: float) -> Now:
    return Now(at(hours))


def config(hook: str = "http://127.0.0.1:9/", **terms) -> Config:
    return Config(rollback=RollbackSection(**{"mode": "auto", **terms}, webhook=WebhookSection(url=hook)))


def traffic(store: Store, hours: float, deployment: Deployment = NEW, intent: str = "refunds", n: int = 40) -> None:
    """Requests within the three minutes after a time; nobody judges them."""
    with store.write() as tx:
        ingest(tx, [request(next(_numbers), hours + i / 800, deployment, intent) for i in range(n)])


def breach(
    store: Store, hours: float = 10.0, deployment: Deployment = NEW, intent: str = "refunds", mode: str = "auto"
) -> str | None:
    """Three hours of answers that reviewers reject; the incident that it opened, if it did."""
    requests = [request(next(_numbers), hours + n / 10, deployment, intent) for n in range(30)]
    judge(store, requests)
    label(store, requests, True)
    with store.write() as tx:
        found = [decide(tx, key, mode, rollback_body, at(hours + 3)) for key in behind(tx, 0)]
    return next((d.incident.id for d in found if d.incident), None)


def before(store: Store, hours: float = 1.0, deployment: Deployment = OLD, intent: str = "refunds") -> None:
    """Two hours of good answers of an earlier deployment, which is the last good one."""
    requests = [request(next(_numbers), hours + n / 10, deployment, intent) for n in range(20)]
    judge(store, requests)
    label(store, requests, False)
    with store.write() as tx:
        for key in behind(tx, 0):
            decide(tx, key, "auto", rollback_body, at(hours + 2))


def stages(store: Store, incident: str) -> list[str]:
    """The stages that an incident went through."""
    with store.read() as tx:
        return [row["to_stage"] for row in tx.rows("incident_history", incident=incident) if row["to_stage"]]


def history(store: Store, incident: str) -> list[str]:
    with store.read() as tx:
        return [row["what"] for row in tx.rows("incident_history", incident=incident)]


def run(store: Store, receiver: WebhookReceiver, now: Now, **terms) -> None:
    act(store, config(receiver.hook, **terms), now)


def open_tickets(store: Store) -> set[str]:
    with store.read() as tx:
        return {t["kind"] for t in tickets.ticket_rows(tx) if t["state"] == "open"}
