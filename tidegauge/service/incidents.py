"""Incidents: opened once per test with their webhook, then approved, cancelled or replayed by people."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tidegauge.domain import (
    DAY,
    HOUR,
    DeliveryState,
    Deployment,
    Incident,
    IncidentState,
    Micros,
    iso,
    short_hash,
)
from tidegauge.errors import UsageError
from tidegauge.service import tickets
from tidegauge.storage import evidence
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.store import Transaction

EXAMPLES = 5
SHARE_OF_TRAFFIC = 0.1
"""A deployment that never had this share of an intent's requests for an hour is nothing to go back to."""

_LOOK_BACK = 28 * DAY
_BUCKETS_AN_HOUR = 12
_STATE = {"dry_run": DeliveryState.DRY_RUN, "approve": DeliveryState.HELD, "auto": DeliveryState.DUE}
_UNKNOWN = Deployment(model_version="", prompt_version="", retrieval_index="")


def open_incident(
    tx: Transaction,
    key: TestKey,
    found: Mapping[str, Any],
    *,
    mode: str,
    body: Callable[[Incident], bytes],
    now: Micros,
) -> Incident:
    """Writes incident, delivery and event. The ids are hashes of the test key, so that a receiver can tell repeats."""
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
    tx.run(
        "insert_delivery",
        delivery=delivery_id(incident.id),
        incident=incident.id,
        body=body(incident),
        state=_STATE[mode].value,
        due_at=now,
        created_at=now,
    )
    note(tx, incident.id, who="tidegauge", what="breach.historical" if historical else "breach", why=mode, now=now)
    if historical:
        subject = {"intent": key.intent, "deployment": key.deployment, "episode": key.episode}
        tickets.open_ticket(
            tx, kind="breach_historical", subject=subject, owner="platform", evidence=incident.evidence, now=now
        )
    return incident


def delivery_id(incident: str) -> str:
    """The webhook-id, the same in every attempt and replay."""
    return f"msg_{short_hash('delivery', incident)}"


def is_historical(tx: Transaction, key: TestKey) -> bool:
    """Whether the deployment carried none of the intent in the last 24 hours of the store's event time."""
    newest = tx.value("newest_traffic") or 0
    own = tx.value("newest_traffic_of", intent=key.intent, deployment=key.deployment) or key.last_at
    return bool(newest - own >= DAY)


def last_good(tx: Transaction, key: TestKey) -> str | None:
    """Id of the newest earlier deployment that had a tenth of the intent for an hour and is not breached itself."""
    began = tx.value("first_traffic_of", intent=key.intent, deployment=key.deployment) or key.first_at
    since = (began - _LOOK_BACK) // (HOUR // _BUCKETS_AN_HOUR)
    hours: dict[int, dict[str, int]] = {}
    for row in tx.rows("hourly_traffic", intent=key.intent, since=since):
        hours.setdefault(int(row["hour"]), {})[row["deployment"]] = int(row["requests"])
    first: dict[str, int] = {}
    newest: dict[str, int] = {}
    for hour, requests in sorted(hours.items()):
        for deployment, count in requests.items():
            first.setdefault(deployment, hour)
            if count >= SHARE_OF_TRAFFIC * sum(requests.values()):
                newest[deployment] = hour
    breached = {row["deployment"] for row in tx.rows("breached_deployments", intent=key.intent)} | {key.deployment}
    limit = first.get(key.deployment, began // HOUR)
    good = [name for name in newest if name not in breached and first[name] < limit]
    return max(good, key=lambda name: (newest[name], first[name], name), default=None)


def _examples(tx: Transaction, key: TestKey) -> list[str]:
    return [row["request_id"] for row in tx.rows("confirmed_positives", test_key=key.test_key, most=EXAMPLES)]


def approve(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """Lets a held webhook go. Raises UsageError where none is held."""
    _move(tx, incident, {DeliveryState.HELD}, DeliveryState.DUE, now)
    note(tx, incident, who=who, what="approved", why=why, now=now)


def cancel(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """Stops what was not delivered. Raises UsageError where nothing is left to stop."""
    stoppable = {DeliveryState.DRY_RUN, DeliveryState.HELD, DeliveryState.DUE, DeliveryState.FAILED}
    _move(tx, incident, stoppable, DeliveryState.CANCELLED, now)
    tx.run("set_incident_state", incident=incident, state=IncidentState.CANCELLED.value)
    note(tx, incident, who=who, what="cancelled", why=why, now=now)


def replay(tx: Transaction, incident: str, who: str, why: str, now: Micros) -> None:
    """Sends the same webhook, with the same webhook-id, once more. Raises UsageError where none was tried yet."""
    _move(tx, incident, {DeliveryState.DELIVERED, DeliveryState.FAILED}, DeliveryState.DUE, now)
    note(tx, incident, who=who, what="replayed", why=why, now=now)


def _move(tx: Transaction, incident: str, states: set[DeliveryState], state: DeliveryState, now: Micros) -> None:
    if tx.value("incident_state", incident=incident) is None:
        raise UsageError(f"incident {incident}: there is none of this id; see `tidegauge incidents`")
    before = sorted(s.value for s in states)
    if not tx.rows("move_deliveries", incident=incident, states=before, state=state.value, now=now):
        raise UsageError(f"incident {incident}: no delivery of it is {' or '.join(before)}")


def note(tx: Transaction, incident: str, *, who: str, what: str, why: str, now: Micros) -> None:
    """One more line in an incident's history."""
    tx.run("insert_incident_event", incident=incident, at=now, who=who, what=what, why=why)


def incident_rows(tx: Transaction) -> list[dict[str, Any]]:
    """As `tidegauge incidents --json` prints them."""
    rows = tx.rows("incidents")
    known = evidence.deployments(tx, [name for row in rows for name in (row["deployment"], row["last_good"]) if name])
    deliveries: dict[str, list[dict[str, Any]]] = {}
    for row in tx.rows("incident_deliveries"):
        shown = {"id": row["delivery"], "attempts": row["attempts"], "status": row["state"]}
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
