"""Incidents: opened once per intent and deployment with their webhook, then in the hands of people."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tidegauge.domain import (
    DAY,
    DeliveryState,
    Deployment,
    Incident,
    IncidentState,
    Micros,
    Stage,
    iso,
    short_hash,
)
from tidegauge.errors import UsageError
from tidegauge.service import tickets
from tidegauge.service.last_good import Place, last_good
from tidegauge.service.protocol import HISTORICAL, TIDEGAUGE, close_tickets, move, note, stage_of
from tidegauge.storage import evidence
from tidegauge.storage.store import Transaction

EXAMPLES = 5
_STATE = {"dry_run": DeliveryState.DRY_RUN, "approve": DeliveryState.HELD, "auto": DeliveryState.DUE}
_UNKNOWN = Deployment(model_version="", prompt_version="", retrieval_index="")


class Breached(Place, Protocol):
    """What is in breach: a test, or a canary's guardrail. The intent `*` stands for all."""

    @property
    def test_key(self) -> str: ...
    @property
    def indicator(self) -> str: ...
    @property
    def episode(self) -> int: ...
    @property
    def last_at(self) -> Micros: ...


def open_incident(
    tx: Transaction,
    key: Breached,
    found: Mapping[str, Any],
    *,
    mode: str,
    body: Callable[[Incident], bytes],
    now: Micros,
) -> Incident | None:
    """Writes incident, delivery and event; None where the breach joins an open incident of the same deployment.

    The ids are hashes of the test key, so that a receiver can tell repeats.
    """
    evidence.hold(tx, "incidents", key.indicator, key.intent, key.deployment)
    if _joined(tx, key, found, now):
        return None
    historical = is_historical(tx, key)
    known = evidence.deployments(tx, [key.deployment])
    good = None if historical else last_good(tx, key)
    incident = Incident(
        id=short_hash("incident", key.test_key),
        indicator=key.indicator,
        intent=key.intent,
        deployment=known.get(key.deployment, _UNKNOWN),
        last_good=evidence.deployments(tx, [good]).get(good) if good else None,
        opened_at=now,
        state=IncidentState.HISTORICAL if historical else IncidentState.OPEN,
        evidence={**found, "as_of": iso(found["as_of"]), "examples": _examples(tx, key)},
    )
    _write(tx, incident, key, good, now)
    stage = "" if historical else Stage.PROPOSED.value
    tx.run("set_stage", incident=incident.id, stage=stage, now=now)
    tx.run(
        "insert_delivery",
        delivery=delivery_id(incident.id),
        incident=incident.id,
        body=body(incident),
        state=_STATE[mode].value,
        due_at=now,
        created_at=now,
    )
    what = "breach.historical" if historical else "breach"
    note(tx, incident.id, who=TIDEGAUGE, what=what, why=mode, now=now, stages=("", stage))
    if historical:
        subject = tickets.subject_of(key.indicator, key.intent, key.deployment, key.episode)
        owner = tx.value("owner_of_incident", incident=incident.id) or "platform"
        tickets.open_ticket(tx, kind=HISTORICAL, subject=subject, owner=owner, evidence=incident.evidence, now=now)
    return incident


def _joined(tx: Transaction, key: Breached, found: Mapping[str, Any], now: Micros) -> bool:
    """Whether an open incident of the deployment takes this breach in, so that it is no second one."""
    place = {"indicator": key.indicator, "intent": key.intent, "deployment": key.deployment}
    incident = tx.value("open_incident_of", **place)
    locked = tx.first("lock_incident", incident=incident) if incident else None
    if locked is None or locked["state"] != IncidentState.OPEN:
        return False  # there is none, or a person has just closed it
    tx.run("insert_incident_key", test_key=key.test_key, incident=incident, now=now)
    rate = found.get("rate")
    why = f"episode {key.episode} is in breach too" + ("" if rate is None else f": {100 * rate:.1f} %")
    note(tx, incident, who=TIDEGAUGE, what="joined", why=why, now=now)
    return True


def _write(tx: Transaction, incident: Incident, key: Breached, good: str | None, now: Micros) -> None:
    tx.run(
        "insert_incident",
        incident=incident.id,
        test_key=key.test_key,
        indicator=key.indicator,
        intent=key.intent,
        deployment=key.deployment,
        last_good=good,
        opened_at=now,
        state=incident.state.value,
        evidence=json.dumps(incident.evidence, sort_keys=True),
    )
    tx.run("insert_incident_key", test_key=key.test_key, incident=incident.id, now=now)


def load(tx: Transaction, incident: str) -> Incident:
    """Raises UsageError where there is none."""
    row = tx.first("incident", incident=incident)
    if row is None:
        raise UsageError(f"incident {incident}: there is none of this id; see `tidegauge incidents`")
    known = evidence.deployments(tx, [name for name in (row["deployment"], row["last_good"]) if name])
    return Incident(
        id=row["incident"],
        indicator=row["indicator"],
        intent=row["intent"],
        deployment=known.get(row["deployment"], _UNKNOWN),
        last_good=known.get(row["last_good"]),
        opened_at=row["opened_at"],
        state=IncidentState(row["state"]),
        evidence=json.loads(row["evidence"]),
    )


def delivery_id(incident: str) -> str:
    """The webhook-id, the same in every attempt and replay."""
    return f"msg_{short_hash('delivery', incident)}"


def is_historical(tx: Transaction, key: Breached) -> bool:
    """Whether the deployment carried none of the intent in the last 24 hours of the store's event time."""
    newest = tx.value("newest_traffic") or 0
    own = tx.value("newest_traffic_of", intent=key.intent, deployment=key.deployment) or key.last_at
    return bool(newest - own >= DAY)


def is_live(tx: Transaction, key: Breached) -> bool:
    """Whether a test can still be asked for more: its deployment has traffic, and no newer test takes it."""
    place = {"indicator": key.indicator, "intent": key.intent, "deployment": key.deployment}
    return not is_historical(tx, key) and tx.value("later_key", **place, episode=key.episode) is None


def _examples(tx: Transaction, key: Breached) -> list[str]:
    return [row["request_id"] for row in tx.rows("confirmed_positives", test_key=key.test_key, most=EXAMPLES)]


def approve(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """Lets a held webhook go when its turn comes. Raises UsageError where none is held."""
    _deliver(tx, incident, {DeliveryState.HELD}, DeliveryState.DUE, now)
    move(tx, incident, Stage.APPROVED, who=who, why=why, now=now)


def cancel(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """It is no breach: stops what was not delivered; traffic that comes now is tested anew.

    Raises UsageError where nothing is left to stop.
    """
    stage = stage_of(tx, incident)
    if stage is Stage.ACKNOWLEDGED:
        raise UsageError(
            f"incident {incident}: the receiver has acknowledged the rollback, so that nothing is left to cancel; "
            f"to close it: tidegauge incidents resolve {incident}"
        )
    if stage is Stage.FAILED:
        stop_deliveries(tx, incident, now)
    else:
        stoppable = {DeliveryState.DRY_RUN, DeliveryState.HELD, DeliveryState.DUE, DeliveryState.FAILED}
        _deliver(tx, incident, stoppable, DeliveryState.CANCELLED, now)
    tx.run("set_incident_state", incident=incident, state=IncidentState.CANCELLED.value)
    tx.run("end_tests", incident=incident)
    if stage is None:
        note(tx, incident, who=who, what="cancelled", why=why, now=now)
        close_tickets(tx, incident, now)
    else:
        move(tx, incident, Stage.CANCELLED, who=who, why=why, now=now)


def resolve(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """A person has seen to it, by hand where nothing was sent. Raises UsageError where all is over."""
    if stage_of(tx, incident) is None and load(tx, incident).state is IncidentState.HISTORICAL:
        tx.run("set_incident_state", incident=incident, state=IncidentState.RESOLVED.value)
        note(tx, incident, who=who, what="resolved", why=why, now=now)
        stop_deliveries(tx, incident, now)
        close_tickets(tx, incident, now)
        return
    move(tx, incident, Stage.VERIFIED, who=who, why=why, now=now, what="resolved")
    row = tx.first("incident", incident=incident)
    if row and not row["measured_from"]:  # nothing was sent: its traffic so far is what was seen to
        tx.run("end_tests", incident=incident)
    stop_deliveries(tx, incident, now)


def stop_deliveries(tx: Transaction, incident: str, now: Micros) -> None:
    """Nothing that still waits is sent; what was delivered or given up stays what it is."""
    states = [s.value for s in (DeliveryState.DRY_RUN, DeliveryState.HELD, DeliveryState.DUE)]
    tx.rows("move_deliveries", incident=incident, states=states, state=DeliveryState.CANCELLED.value, now=now)


def replay(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """Sends the same webhook, with the same webhook-id, once more; a receiver that said 410 is asked again.

    Raises UsageError where none was tried yet, or a person said that nothing is to be sent.
    """
    stage = stage_of(tx, incident)
    if stage is Stage.CANCELLED:
        raise UsageError(f"incident {incident}: it is cancelled, so that nothing of it is sent any more")
    _deliver(tx, incident, {DeliveryState.DELIVERED, DeliveryState.FAILED}, DeliveryState.DUE, now)
    tx.run("enable_targets")
    if stage is Stage.FAILED:
        move(tx, incident, Stage.APPROVED, who=who, why=why, now=now, what="replayed")
    else:
        note(tx, incident, who=who, what="replayed", why=why, now=now)


def _deliver(tx: Transaction, incident: str, states: set[DeliveryState], state: DeliveryState, now: Micros) -> None:
    stage_of(tx, incident)
    before = sorted(s.value for s in states)
    if not tx.rows("move_deliveries", incident=incident, states=before, state=state.value, now=now):
        raise UsageError(f"incident {incident}: no delivery of it is {' or '.join(before)}")


def incident_rows(tx: Transaction) -> list[dict[str, Any]]:
    """As `tidegauge incidents --json` prints them."""
    rows = tx.rows("incidents")
    known = evidence.deployments(tx, [name for row in rows for name in (row["deployment"], row["last_good"]) if name])
    deliveries: dict[str, list[dict[str, Any]]] = {}
    for row in tx.rows("incident_deliveries"):
        attempts = max(row["attempts"], row["tried"])  # a replay counts its own from 0 again
        shown = {"id": row["delivery"], "attempts": attempts, "status": row["state"]}
        deliveries.setdefault(row["incident"], []).append(shown | {"last_status": row["last_status"]})
    return [
        {
            "id": row["incident"],
            "indicator": row["indicator"],
            "intent": row["intent"],
            "deployment": deployment_fields(row["deployment"], known),
            "last_good": deployment_fields(row["last_good"], known) if row["last_good"] else None,
            "opened_at": iso(row["opened_at"]),
            "state": row["state"],
            "stage": row["stage"] or None,
            "evidence": json.loads(row["evidence"]),
            "deliveries": deliveries.get(row["incident"], []),
        }
        for row in rows
    ]


def deployment_fields(name: str, known: Mapping[str, Deployment]) -> dict[str, str]:
    """The four fields of a deployment as they are shown."""
    found = known.get(name, _UNKNOWN)
    return {
        "id": name,
        "model_version": found.model_version,
        "prompt_version": found.prompt_version,
        "retrieval_index": found.retrieval_index,
    }
