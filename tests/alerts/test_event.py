"""The event: CloudEvents 1.0, one id for event, webhook and idempotency."""

import json

import msgspec
from cloudevents.core.formats.json import JSONFormat

from tidegauge.alerts.event import rollback_body
from tidegauge.domain import Deployment, Incident, IncidentState
from tidegauge.service.incidents import delivery_id

BAD = Deployment(model_version="m2", prompt_version="p", retrieval_index="r")
GOOD = Deployment(model_version="m1", prompt_version="p", retrieval_index="r")
INCIDENT = Incident(
    id="i-1",
    indicator="hallucination",
    intent="refunds.policy",
    deployment=BAD,
    last_good=GOOD,
    opened_at=1_767_225_600_000_000,
    state=IncidentState.OPEN,
    evidence={"log_e": 7.5, "alpha": 0.001, "rate": 0.09, "low": 0.05, "high": 0.14, "positives": 9, "examples": ["a"]},
)


def test_the_event_is_a_cloud_event_whose_id_is_the_webhook_id() -> None:
    body = rollback_body(INCIDENT)
    event = JSONFormat().read(None, body)
    assert (event.get_specversion(), event.get_type()) == ("1.0", "tidegauge.rollback.requested")
    data = json.loads(body)["data"]
    assert event.get_id() == data["idempotency_key"] == delivery_id(INCIDENT.id)
    assert data["asks"] == "rollback"
    assert data["offending_deployment"] == {"id": BAD.id, **msgspec.to_builtins(BAD)}
    assert data["last_good_deployment"] == {"id": GOOD.id, **msgspec.to_builtins(GOOD)}
    assert data["rate"] == {"rate": 0.09, "low": 0.05, "high": 0.14}
    assert data["evidence"]["request_ids"] == ["a"]
    assert body == rollback_body(INCIDENT)


def test_a_historical_breach_asks_for_nothing() -> None:
    old = msgspec.structs.replace(INCIDENT, state=IncidentState.HISTORICAL, last_good=None)
    event = json.loads(rollback_body(old))
    assert event["type"] == "tidegauge.breach.historical"
    assert event["data"]["asks"] == "nothing"
    assert event["data"]["last_good_deployment"] is None
