"""The event: CloudEvents 1.0, one id for event, webhook and idempotency."""

import json
from pathlib import Path
from typing import Any

import msgspec
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alerts.world import before, breach
from tests.service.world import OLD, table
from tidegauge.alerts.event import rollback_body
from tidegauge.domain import Deployment, Incident, IncidentState
from tidegauge.service.incidents import delivery_id
from tidegauge.storage.store import Store

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


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "rollback.schema.json").read_text())
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "null": type(None),
}


def problems(value: Any, schema: dict[str, Any], place: str = "$") -> list[str]:
    """What of a value the schema forbids; only the words that ours uses."""
    if "$ref" in schema:
        return problems(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema:
        found = [problems(value, one, place) for one in schema["anyOf"]]
        return [] if [] in found else found[0]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{place}: {value!r}"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, KINDS[kind]) for kind in kinds):
        return [f"{place}: no {kinds}"]
    return inside(value, schema, place)


def inside(value: Any, schema: dict[str, Any], place: str) -> list[str]:
    if isinstance(value, list):
        return [p for n, item in enumerate(value) for p in problems(item, schema["items"], f"{place}[{n}]")]
    if not isinstance(value, dict):
        return []
    known = schema["properties"]
    wrong = [f"{place}.{name}: missing" for name in schema["required"] if name not in value]
    wrong += [f"{place}.{name}: unknown" for name in value if name not in known]
    return wrong + [p for n, v in value.items() if n in known for p in problems(v, known[n], f"{place}.{n}")]


def test_real_bodies_are_what_the_published_schema_says(store: Store) -> None:
    before(store)
    breach(store)
    breach(store, deployment=OLD, hours=20, intent="shipping", mode="dry_run")
    bodies = [json.loads(bytes(row["body"])) for row in table(store, "outbox")]
    historical = msgspec.structs.replace(INCIDENT, state=IncidentState.HISTORICAL, last_good=None, evidence={})
    bodies.append(json.loads(rollback_body(historical)))
    assert [problems(body, SCHEMA) for body in bodies] == [[], [], []]
    assert bodies[0]["data"]["evidence"]["request_ids"]
    del bodies[0]["data"]["asks"]
    bodies[0]["data"]["offending_deployment"]["id"] = 5
    assert len(problems(bodies[0], SCHEMA)) == 2


@given(st.text(min_size=1), st.integers(1, 5_000), st.text())
@settings(max_examples=50)
def test_no_body_is_too_long_or_no_json(text: str, times: int, request_id: str) -> None:
    deployment = Deployment(model_version=text * times, prompt_version=text * times, retrieval_index=text)
    incident = msgspec.structs.replace(
        INCIDENT, intent=text * times, deployment=deployment, last_good=deployment, evidence={"examples": [request_id]}
    )
    body = rollback_body(incident)
    assert len(body) < 20_000
    assert problems(json.loads(body), SCHEMA) == []
