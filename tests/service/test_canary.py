"""Canaries, from a log to a breach."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipelines import jobs
from tests.alerts.test_event import SCHEMA, problems
from tests.service.world import table
from tests.support.ingest import Now
from tests.support.logs import line
from tidegauge.commands.canaries import text
from tidegauge.config import CanarySection, Config, MatchSection, SamplingSection, StoreSection
from tidegauge.service import canary, incidents, stops, tickets
from tidegauge.service.explain import explain
from tidegauge.service.verdict import verdict
from tidegauge.storage.store import Store

SECTION = CanarySection(name="checkout", canary=MatchSection(cohort="canary"), owner="payments")


def traffic(
    folder: Path, hours: int = 5, slower: float = 0.0, worse: float = 0.0, prompt: str = "p-2", start: int = 0
) -> None:
    rng = random.Random(3)
    lines = []
    for n in range(hours * 12 * 60):
        cohort = "canary" if n >= 720 and rng.random() < 0.2 else "stable"  # the first hour is before the release
        mine = cohort == "canary"
        lines.append(
            line(
                request_id=f"{prompt}-{n}",
                timestamp=f"2026-10-01T{start + n // 720:02}:{n // 12 % 60:02}:{n % 12 * 5:02}Z",
                cohort=cohort,
                prompt_version=prompt if mine else "p-1",
                status="error" if rng.random() < 0.05 + worse * mine else "ok",
                latency_ms=rng.lognormvariate(6, 0.4) + slower * mine,
            )
        )
    (folder / f"{prompt}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def look(store: Store, folder: Path, section: CanarySection = SECTION) -> list[dict[str, Any]]:
    config = Config(store=StoreSection(url=store.url), sampling=SamplingSection(rate=0.0), canaries=(section,))
    jobs.run(config, store, Now(), logs=[f"{folder}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        return canary.canary_rows(tx)


def test_a_canary_that_is_no_worse_runs_on(store: Store, tmp_path: Path) -> None:
    traffic(tmp_path)
    (row,) = look(store, tmp_path)
    assert (row["state"], row["breached_at"]) == ("running", None)
    assert row["deployment"]["prompt_version"] == "p-2"
    requests = row["evidence"]["requests"]
    assert sum(requests.values()) == pytest.approx(2880, abs=12)
    assert requests["canary"] == pytest.approx(576, rel=0.2)
    assert not row["evidence"]["success_drop"]["proven"]


@pytest.mark.parametrize(
    ("change", "guardrail"), [({"slower": 500.0}, "latency_p95_ms"), ({"worse": 0.2}, "success_drop")]
)
def test_a_worse_one_breaches_once_and_its_owner_has_a_ticket(
    store: Store, tmp_path: Path, change: dict[str, float], guardrail: str
) -> None:
    traffic(tmp_path, **change)
    (row,) = look(store, tmp_path)
    assert row["state"] == "breach"
    assert row["evidence"][guardrail]["proven"]
    with store.read() as tx:
        found = [t for t in tickets.ticket_rows(tx) if t["kind"] == "canary_breach"]
        (incident,) = incidents.incident_rows(tx)
        page = explain(tx, incident["id"])
    assert [(t["owner"], t["subject"]["canary"]) for t in found] == [("payments", "checkout")]
    assert incident["indicator"].startswith("canary.")
    assert (incident["deployment"]["prompt_version"], incident["last_good"]["prompt_version"]) == ("p-2", "p-1")
    assert [d["status"] for d in incident["deliveries"]] == ["dry_run"]
    assert "canary checkout is worse than its control" in page["what"]
    body = json.loads(table(store, "outbox")[0]["body"])
    assert body["data"]["evidence"]["guardrails"] == [guardrail.split("_", maxsplit=1)[0]]
    assert problems(body, SCHEMA) == []
    assert look(store, tmp_path) == [row]
    assert len(table(store, "incidents")) == 1
    with store.write() as tx:
        incidents.cancel(tx, incident["id"], "ann", "it is known", 0)
        assert [t["state"] for t in tickets.ticket_rows(tx) if t["kind"] == "canary_breach"] == ["closed"]


@pytest.mark.parametrize("intent", ["refunds.policy", "*"])
def test_the_verdict_of_a_canary_that_breached_is_failed(store: Store, tmp_path: Path, intent: str) -> None:
    traffic(tmp_path, worse=0.2)
    section = CanarySection(name="checkout", canary=MatchSection(cohort="canary"), intent=intent)
    (row,) = look(store, tmp_path, section)
    with store.write() as tx:
        found = verdict(tx, Config().slo, "refunds.policy", row["deployment"]["id"])
        assert (found["phase"], found["proven"]) == ("failed", True)
        assert found["reason"] == "canary checkout is worse than its control"
        (incident,) = incidents.incident_rows(tx)
        good = verdict(tx, Config().slo, "refunds.policy", incident["last_good"]["id"])
        incidents.cancel(tx, incident["id"], "ann", "it is known", 0)
        cancelled = verdict(tx, Config().slo, "refunds.policy", row["deployment"]["id"])
    assert (good["phase"], cancelled["phase"]) == ("inconclusive", "inconclusive")


def test_the_table_has_intervals_what_is_allowed_and_what_is_proven(store: Store, tmp_path: Path) -> None:
    traffic(tmp_path, slower=500.0)
    (row,) = look(store, tmp_path)
    found = row["evidence"]["latency_p95_ms"]
    half = 1.96 * found["se"]
    interval = f"{found['worse_by']:.1f} [{found['worse_by'] - half:.1f}, {found['worse_by'] + half:.1f}]"
    assert f"{interval}; allowed 120 ms; proven" in text([row])
    assert "; allowed 5 points; not proven" in text([row])
    row["evidence"]["success_drop"]["worse_by"] = None
    assert "unknown; allowed 5 points" in text([row])


def test_a_stopped_canary_is_not_looked_at(store: Store, tmp_path: Path) -> None:
    traffic(tmp_path, slower=500.0)
    with store.write() as tx:
        stops.stop(tx, "*", "ann", "the clock is wrong", None, 0)
    assert look(store, tmp_path) == []
    assert table(store, "incidents") == []


def test_another_deployment_under_the_cohort_is_another_trial(store: Store, tmp_path: Path) -> None:
    traffic(tmp_path, hours=4, slower=500.0)
    look(store, tmp_path)
    traffic(tmp_path, hours=5, prompt="p-3", start=4)
    rows = {row["deployment"]["prompt_version"]: row for row in look(store, tmp_path)}
    assert {prompt: row["state"] for prompt, row in rows.items()} == {"p-2": "breach", "p-3": "running"}


def test_without_canary_traffic_there_is_no_trial(store: Store, tmp_path: Path) -> None:
    traffic(tmp_path, hours=2)
    other = CanarySection(name="other", canary=MatchSection(experiment="none"))
    assert look(store, tmp_path, other) == []
