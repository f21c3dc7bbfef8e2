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

_EVIDENCE = ("log_e", "alpha", "judged", "labelled", "positives", "as_of")


def rollback_body(incident: Incident) -> bytes:
    """The event of an incident. Its id is the webhook's, and the key of idempotency.

    `asks` is "nothing" where the deployment carries no traffic any more.
    """
    historical = incident.state is IncidentState.HISTORICAL
    key = delivery_id(incident.id)
    found = incident.evidence
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": key,
            "source": "/tidegauge",
            "type": HISTORICAL if historical else REQUESTED,
            "subject": incident.intent,
            "time": datetime.fromtimestamp(incident.opened_at / SECOND, UTC),
            "datacontenttype": "application/json",
        },
        {
            "incident": incident.id,
            "idempotency_key": key,
            "asks": "nothing" if historical else "rollback",
            "indicator": incident.indicator,
            "intent": incident.intent,
            "offending_deployment": _deployment(incident.deployment),
            "last_good_deployment": None if incident.last_good is None else _deployment(incident.last_good),
            "objective": found.get("theta0"),
            "rate": {name: found.get(name) for name in ("rate", "low", "high")},
            "evidence": {name: found.get(name) for name in _EVIDENCE} | {"request_ids": found.get("examples", [])},
        },
    )
    return JSONFormat().write(event)


def _deployment(of: Deployment) -> dict[str, Any]:
    return {
        "id": of.id,
        "model_version": of.model_version,
        "prompt_version": of.prompt_version,
        "retrieval_index": of.retrieval_index,
    }
