"""The body of a rollback webhook: a CloudEvents 1.0 event in structured JSON."""

from datetime import UTC, datetime
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tidegauge.domain import SECOND, Deployment, Incident, IncidentState
from tidegauge.service.incidents import delivery_id

REQUESTED = "tidegauge.rollback.requested"
HISTORICAL = "tidegauge.breach.historical"
CONTENT_TYPE = JSONFormat.CONTENT_TYPE

MOST_BYTES = 20_000
_LIMITS = (1_000, 300, 60)  # characters of a name; logged text may be of any length

_EVIDENCE = ("log_e", "alpha", "judged", "labelled", "positives", "as_of")


def rollback_body(incident: Incident) -> bytes:
    """The event of an incident, below 20 kB; docs/rollback.schema.json is its schema.

    Its id is the webhook's, and the key of idempotency. `asks` is "nothing" where the deployment carries no traffic any
    more. Names too long for a body are cut; the ids of deployments tell them apart.
    """
    body = b""
    for limit in _LIMITS:  # the last one always fits
        body = _body(incident, limit)
        if len(body) < MOST_BYTES:
            break
    return body


def _body(incident: Incident, limit: int) -> bytes:
    historical = incident.state is IncidentState.HISTORICAL
    key = delivery_id(incident.id)
    found = incident.evidence
    examples = [name for name in found.get("examples", []) if len(name) <= limit]
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": key,
            "source": "/tidegauge",
            "type": HISTORICAL if historical else REQUESTED,
            "subject": incident.intent[:limit],
            "time": datetime.fromtimestamp(incident.opened_at / SECOND, UTC),
            "datacontenttype": "application/json",
        },
        {
            "incident": incident.id,
            "idempotency_key": key,
            "asks": "nothing" if historical else "rollback",
            "indicator": incident.indicator,
            "intent": incident.intent[:limit],
            "offending_deployment": _deployment(incident.deployment, limit),
            "last_good_deployment": None if incident.last_good is None else _deployment(incident.last_good, limit),
            "objective": found.get("theta0"),
            "rate": {name: found.get(name) for name in ("rate", "low", "high")},
            "evidence": {name: found.get(name) for name in _EVIDENCE}
            | {"request_ids": examples, "guardrails": found.get("guardrails", [])},
        },
    )
    return JSONFormat().write(event)


def _deployment(of: Deployment, limit: int) -> dict[str, Any]:
    return {
        "id": of.id,
        "model_version": of.model_version[:limit],
        "prompt_version": of.prompt_version[:limit],
        "retrieval_index": of.retrieval_index[:limit],
    }
