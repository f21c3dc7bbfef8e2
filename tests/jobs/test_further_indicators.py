"""A second judged indicator, from the log to its own breach, beside hallucinations and without touching them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines import jobs
from tests.service.sums import check_sums
from tests.service.world import table
from tests.support.ingest import Now
from tests.support.logs import line
from tidegauge.alerts.act import import_and_act
from tidegauge.config import Config
from tidegauge.config_load import load
from tidegauge.errors import ConfigError
from tidegauge.service import review
from tidegauge.service.explain import explain
from tidegauge.service.incidents import incident_rows
from tidegauge.service.report import slo_rows
from tidegauge.service.verdict import verdict as verdict_of
from tidegauge.show import slo_table
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import Answer, Fault, JudgeRequest, JudgeServer

SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: refusals
  annotations: {tidegauge.dev/indicator: refusal, tidegauge.dev/intent: refunds}
spec:
  service: support
  indicator:
    metadata: {name: refusals}
    spec:
      ratioMetric:
        counter: false
        bad: {metricSource: {type: tidegauge, spec: {indicator: refusal, intent: refunds}}}
        total: {metricSource: {type: tidegauge, spec: {indicator: refusal, intent: refunds}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: refusals, target: 0.97}]
"""


def asks_of_refusals(request: JudgeRequest) -> bool:
    return "refuse" in str(request.body["messages"][0])


def verdict(request: JudgeRequest) -> Answer:
    refused = "sorry" in request.record["response"]
    if asks_of_refusals(request):
        return Answer("unwanted_refusal" if refused else "no_fault")
    return Answer("faithful")


def write(folder: Path, intent: str = "refunds", n: int = 60, name: str = "a") -> None:
    (folder / "logs").mkdir(exist_ok=True)
    rows = [
        line(
            request_id=f"{name}-{i}",
            intent=intent,
            timestamp=f"2026-10-01T{i * 20 // n:02d}:{i * 20 % n * 60 // n:02d}:00Z",
            response=f"I am sorry, I cannot say, {i}." if i % 2 else f"Within 14 days, {i}.",
            contexts=[{"text": "Refunds are paid within 14 days."}],
        )
        for i in range(n)
    ]
    (folder / "logs" / f"{name}.jsonl").write_bytes(b"\n".join(rows) + b"\n")


def configured(folder: Path, store: Store, server: JudgeServer, rubric: str = "refusal@1.0.0") -> Config:
    (folder / "slo.yaml").write_text(SLO)
    (folder / "tidegauge.yaml").write_text(
        f"store: {{url: '{store.url}'}}\nsources: [{{files: 'logs/*.jsonl'}}]\nsampling: {{rate: 1}}\n"
        f"objectives: ['slo.yaml']\nreview: {{labels_per_day: 500}}\n"
        f"judge: {{base_url: '{server.base_url}', model: m}}\n"
        f"judges: {{refusals: {{base_url: '{server.base_url}', model: m, rubric: {rubric}}}}}\n"
        "evaluation: {indicators: {refusal: refusals}}\n"
    )
    return load(folder / "tidegauge.yaml", {})


def run(config: Config, store: Store) -> dict[str, Any]:
    jobs.run(config, store, Now(), progress=jobs.silent)
    with store.read() as tx:
        return status(tx, Now().now())


def test_a_second_indicator_has_its_own_test_labels_and_incident(store: Store, tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, intent="shipping", n=10, name="b")
    with JudgeServer(verdict) as server:
        config = configured(tmp_path, store, server)
        found = run(config, store)
        assert sum(asks_of_refusals(r) for r in server.counters.asked) == 60  # shipping has no objective for it
    assert (found["judged"], found["pending"]) == (70, 0)
    outcomes = table(store, "outcomes")
    assert sorted({(row["indicator"], row["test_key"]) for row in outcomes}) == sorted(
        {(row["indicator"], row["test_key"]) for row in table(store, "test_keys")}
    )
    assert [row["indicator"] for row in outcomes].count("refusal") == 60
    with store.read() as tx:
        cases = [case for case in review.export_cases(tx) if case["indicator"] == "refusal"]
    labels = [
        json.dumps(
            {
                "request_id": case["request_id"],
                "indicator": "refusal",
                "hallucinated": "sorry" in case["response"],
                "reviewer": "ann",
            }
        )
        for case in cases
    ]
    report = import_and_act(store, config, Now(), labels)
    assert report["applied"] == len(labels) > 20
    with store.read() as tx:
        (incident,) = incident_rows(tx)
        rows = {(row["indicator"], row["intent"]): row for row in slo_rows(tx, {"*": 0.03})}
    assert (incident["indicator"], incident["intent"]) == ("refusal", "refunds")
    refusal = rows["refusal", "refunds"]
    assert (refusal["state"], refusal["objective"]) == ("breach", pytest.approx(0.03))
    assert refusal["low"] > 0.3
    assert rows["hallucination", "refunds"]["state"] != "breach"
    assert ("refusal", "shipping") not in rows
    check_sums(store)
    with store.read() as tx:
        page = explain(tx, incident["id"])
        said = verdict_of(tx, config.slo, "refunds")
    assert "bad by refusal" in page["what"]
    assert page["cause"]["indicator"] == "refusal"
    assert (said["phase"], said["indicator"]) == ("failed", "refusal")
    assert "refunds: refusal" in slo_table(list(rows.values()), {})


def test_while_its_judge_is_down_the_sample_waits_and_nothing_is_asked_twice(store: Store, tmp_path: Path) -> None:
    write(tmp_path, n=4)
    with JudgeServer(verdict) as server, JudgeServer(faults=[Fault("status", 503)] * 500) as broken:
        config = configured(tmp_path, store, server)
        judge = msgspec.structs.replace(config.judges["refusals"], base_url=broken.base_url)
        found = run(msgspec.structs.replace(config, judges={"refusals": judge}), store)
        assert (found["judged"], found["pending"]) == (0, 4)
        assert table(store, "outcomes") == []
        asked = server.counters.requests
        found = run(config, store)
        assert (found["judged"], found["pending"]) == (4, 0)
        assert server.counters.requests == asked + 4  # hallucinations come from the cache


def test_a_judge_by_another_rubric_is_refused(store: Store, tmp_path: Path) -> None:
    with JudgeServer(verdict) as server:
        config = configured(tmp_path, store, server, rubric="relevance@1.0.0")
        with pytest.raises(ConfigError, match="measures answer_relevance"):
            run(config, store)
        text = (tmp_path / "tidegauge.yaml").read_text()
        (tmp_path / "tidegauge.yaml").write_text(text.replace("{refusal: refusals}", "{politeness: refusals}"))
        with pytest.raises(ConfigError, match="unknown indicator"):
            load(tmp_path / "tidegauge.yaml", {})
