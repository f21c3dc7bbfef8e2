"""The job with a judge over real HTTP: cache, budgets and stop rules, end to end."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipelines import jobs
from tests.support.ingest import Now
from tests.support.logs import line
from tidegauge.config import (
    BudgetSection,
    Config,
    EvaluationSection,
    JudgeSection,
    PriceSection,
    ReviewSection,
    SamplingSection,
    StoreSection,
)
from tidegauge.config import StepSection as Step
from tidegauge.domain import DAY, HALLUCINATION, Label
from tidegauge.service import gold, interlock, label
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import Answer, JudgeRequest, JudgeServer

CONTEXT = "Refunds are paid within 14 days after the parcel has arrived."
PRICES = (PriceSection(model="judge-1", input_per_million=1.0, output_per_million=2.0),)


def write(folder: Path, name: str, responses: list[str], day: int = 1) -> None:
    lines = [
        line(
            request_id=f"{name}-{n}",
            timestamp=f"2026-10-{day:02d}T{n * 23 // len(responses):02d}:00:00Z",
            response=response,
            contexts=[{"text": CONTEXT}],
        )
        for n, response in enumerate(responses)
    ]
    (folder / f"{name}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def configured(store: Store, server: JudgeServer, steps: tuple[str | Step, ...] = (), **judge: Any) -> Config:
    return Config(
        store=StoreSection(url=store.url),
        sampling=SamplingSection(rate=1.0),
        evaluation=EvaluationSection(evaluators=steps or ("rules", "overlap", "judge")),
        review=ReviewSection(labels_per_day=300),
        judge=JudgeSection(base_url=server.base_url, model="judge-1", **judge),
        prices=PRICES,
    )


def run(config: Config, store: Store, folder: Path, clock: Now) -> dict[str, Any]:
    jobs.run(config, store, clock, logs=[f"{folder}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        found = status(tx, clock.now())
    assert found["sampled"] == found["judged"] + found["unscored"] + found["pending"]
    return found


def test_the_same_answer_is_judged_once(store: Store, tmp_path: Path) -> None:
    with JudgeServer() as server:
        config = configured(store, server)
        write(tmp_path, "first", [f"Refunds take {n} days." for n in range(10)])
        run(config, store, tmp_path, Now())
        asked = server.counters.requests
        write(tmp_path, "second", [f"Refunds take {n % 10} days." for n in range(40)])
        found = run(config, store, tmp_path, Now())
    assert (asked, server.counters.requests) == (10, 10)
    assert found["judged"] == 50
    assert found["evaluation"]["cache"] == {"asked": 50, "hits": 40, "hit_rate": 0.8}
    assert found["evaluation"]["judges"]["judge"]["calls"] == 10


def test_a_spent_budget_leaves_the_heuristics_verdict_and_shows(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(30)])
    with JudgeServer() as server:
        found = run(configured(store, server, budget=BudgetSection(calls_per_day=12)), store, tmp_path, Now())
        assert server.counters.requests == 12
    assert (found["judged"], found["pending"]) == (30, 0)
    assert found["evaluation"]["spent"] == 18
    assert found["evaluation"]["coverage"] == pytest.approx(0.4)
    assert found["evaluation"]["budget_today"]["judge"]["calls"] == 12


def _truthful(request: JudgeRequest) -> Answer:
    bad = "Mars" in request.record["response"]
    return Answer(label="hallucinated" if bad else "faithful")


def test_labels_teach_the_heuristics_to_spare_the_judge(store: Store, tmp_path: Path) -> None:
    rng = random.Random(1)

    def responses(n: int) -> list[str]:
        good = "Refunds are paid within 14 days after the parcel has arrived"
        bad = "Astronauts on Mars cash cheques of Napoleon"
        return [f"{bad if rng.random() < 0.2 else good} {rng.random()}." for _ in range(n)]

    clock = Now()
    steps = ("rules", Step(name="overlap", stop_below=0.05, stop_above=0.9), "judge")
    with JudgeServer(_truthful) as server:
        config = configured(store, server, steps)
        write(tmp_path, "first", responses(300))
        run(config, store, tmp_path, clock)
        assert server.counters.requests == 300
        with store.write() as tx:
            names = [row["request_id"] for row in tx.rows("open_cases", indicator=HALLUCINATION)]
            bad = {
                name
                for name, text in ((f"first-{n}", t) for n, t in enumerate(_texts(tmp_path / "first.jsonl")))
                if "Mars" in text
            }
            label.apply_labels(
                tx, [Label(request_id=n, hallucinated=n in bad, reviewer="a") for n in names], 1, clock.now()
            )
        clock.time += DAY
        write(tmp_path, "second", responses(200), day=2)
        found = run(config, store, tmp_path, clock)
        spared = 500 - server.counters.requests
    assert found["evaluation"]["decided_by"]["overlap: outside the band"] == spared > 0
    with store.read() as tx:
        kept = tx.first("newest_calibration", indicator=HALLUCINATION)
    assert kept is not None
    assert kept["labels"] == len(names)


def _texts(path: Path) -> list[str]:
    return [json.loads(entry)["response"] for entry in path.read_text().splitlines()]


def test_gold_cases_pass_through_the_judge_unmarked(store: Store, tmp_path: Path) -> None:
    with store.write() as tx:
        lines = [
            json.dumps({"response": f"Gold {n}.", "contexts": [CONTEXT], "hallucinated": n < 3, "reviewer": who})
            for n in range(6)
            for who in ("ann", "bob")
        ]
        gold.add(tx, lines, 0)
    with JudgeServer(
        lambda request: Answer("hallucinated" if "Gold 1" in str(request.record) else "faithful")
    ) as server:
        config = configured(store, server)
        write(tmp_path, "first", [f"Refunds take {n} days." for n in range(10)])
        found = run(config, store, tmp_path, Now())
        asked = [request.body for request in server.counters.asked]
    assert found["seen"] == found["judged"] == 10
    assert len(asked) == 20
    assert len({(frozenset(body), body["model"], body["messages"][0]["content"]) for body in asked}) == 1
    assert "gold" not in json.dumps([{**body, "messages": body["messages"][:1]} for body in asked]).lower()
    with store.read() as tx:
        rows = {row["evaluator"]: row for row in interlock.health_rows(tx)}
    assert rows["judge"]["gold"] == {"hallucinated": 5, "faithful": 5, "silent": 0}
    assert rows["judge"]["specificity"]["est"] == 1.0
    assert rows["judge"]["state"] == "trusted"
    assert any("@127.0.0.1" in name for name in rows["judge"]["answers_as"])
