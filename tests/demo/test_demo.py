"""The whole way, real at every step: log, job, review queue, labels, decision, signed webhook over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from tidegauge.demo import demo
from tidegauge.domain import Deployment
from tidegauge.errors import UsageError
from tidegauge.service.incidents import incident_rows
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the demo's receiver got."""
    kept: list[Any] = []
    close = WebhookReceiver.__exit__

    def remember(self: WebhookReceiver, *error: Any) -> None:
        kept.extend(self.deliveries)
        close(self, *error)

    monkeypatch.setattr(WebhookReceiver, "__exit__", remember)
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", "whsec_" + "QUJD" * 8)
    return kept


def play(directory: Path, regress: str | None, seed: int = 1) -> tuple[list[str], list[dict[str, Any]], dict[str, Any]]:
    said: list[str] = []
    demo.run(
        directory,
        seed=seed,
        regress=regress,
        requests=24_000,
        days=10,
        environ={"TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET": "whsec_" + "QUJD" * 8},
        say=said.append,
    )
    store = Store(f"sqlite:///{directory}/tidegauge.db")
    migrate(store)
    with store.read() as tx:
        incidents, counts = incident_rows(tx), status(tx, 0)
    store.close()
    return said, incidents, counts


def test_a_bad_release_is_found_named_and_delivered_once(tmp_path: Path, deliveries: list[Any]) -> None:
    said, incidents, counts = play(tmp_path / "demo", "refunds.policy")
    assert counts["seen"] == counts["quarantined"] + counts["unsampled"] + counts["sampled"] + counts["repeats"]
    assert counts["seen"] == 24_000
    assert counts["sampled"] == counts["judged"] + counts["unscored"] + counts["pending"]
    assert [i["intent"] for i in incidents] == ["refunds.policy"]
    bad = Deployment(
        model_version="atlas-large-2026-08", prompt_version="support-answer@3.1.0", retrieval_index="idx-b83f5a10"
    )
    assert incidents[0]["deployment"]["id"] == bad.id
    assert [(d.webhook_id, d.verified) for d in deliveries] == [(incidents[0]["deliveries"][0]["id"], True)]
    body = json.loads(deliveries[0].body)
    assert body["specversion"] == "1.0"
    assert body["data"]["offending_deployment"]["id"] == bad.id
    assert body["data"]["last_good_deployment"]["prompt_version"] == "support-answer@3.0.0"
    assert any("signature check passed" in line for line in said)
    assert any("simulated" in line for line in said)


def test_without_a_regression_there_is_no_incident(tmp_path: Path, deliveries: list[Any]) -> None:
    said, incidents, _ = play(tmp_path / "demo", None)
    assert incidents == []
    assert deliveries == []
    assert any("no incident" in line for line in said)


def test_nothing_but_an_earlier_demo_is_ever_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        play(tmp_path, None)
    assert (tmp_path / "thesis.txt").exists()
