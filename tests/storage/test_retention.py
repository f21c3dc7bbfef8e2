"""Texts go after their time; what counts, and what somebody still needs, stays."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines import jobs
from tests.support import replay
from tests.support.ingest import Now
from tests.support.replay import compose, config_of, run_job
from tidegauge.cli import main
from tidegauge.domain import DAY, SECOND, EvaluationState, Micros, Score, Verdict
from tidegauge.openslo.objectives import Slo, Window
from tidegauge.service import retention
from tidegauge.service.report import slo_rows
from tidegauge.storage import retention as retention_rows
from tidegauge.storage.judging import cache_scores, cached_scores
from tidegauge.storage.migrations import migrate
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

ALL = 2**62


def filled(store: Store, folder: Path, requests: int = 800) -> list[bytes]:
    lines = compose(requests)
    replay.whole(folder, lines)
    run_job(store.url, f"{folder}/*.jsonl")
    return lines


def figures(store: Store) -> Any:
    """What must not change; an example of a line that does not fit is itself such a text."""
    with store.read() as tx:
        found = status(tx, Now().now())
        del found["quarantine_examples"]
        return found, slo_rows(tx, Now().now())


def payloads(store: Store) -> dict[str, dict[str, Any]]:
    with store.read() as tx:
        return {row["request_id"]: json.loads(bytes(row["payload"])) for row in tx.rows("dump_samples")}


def waiting(store: Store) -> set[str]:
    with store.read() as tx:
        return {row["request_id"] for row in tx.rows("open_cases", indicator="hallucination")}


def test_texts_go_and_figures_stay(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path)
    before, queued = figures(store), waiting(store)
    assert queued
    expected = retention.preview(store, ALL)
    found = retention.prune(store, ALL)
    assert found == expected
    assert found.quarantined
    assert found.samples == len(payloads(store)) - len(queued)
    assert figures(store) == before
    for name, payload in payloads(store).items():
        assert ("response" in payload and payload["response"] is not None) == (name in queued)
    with store.read() as tx:
        said = {row["request_id"] for row in tx.rows("dump_verdicts") if row["reason"]}
    assert said <= queued
    assert retention.prune(store, ALL) == retention.Pruned()


def test_only_what_is_older(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path)
    with store.read() as tx:
        times = sorted(row["timestamp"] for row in tx.rows("dump_samples"))
    middle = times[len(times) // 2]
    retention.prune(store, middle)
    with store.read() as tx:
        for row in tx.rows("dump_samples"):
            kept = json.loads(bytes(row["payload"])).get("response") is not None
            assert kept or row["timestamp"] < middle


def test_what_judges_said_leaves_the_cache_too(store: Store) -> None:
    migrate(store)
    said = [f"claim {n}" for n in range(retention_rows.PORTION + 2)]
    with store.write() as tx:
        for now, some in ((DAY, said[:-1]), (2 * DAY, said[-1:])):
            cache_scores(tx, map(_answer, some), now)
    expected = retention.Pruned(cached=retention_rows.PORTION + 1)
    assert retention.preview(store, 2 * DAY) == expected
    assert retention.prune(store, 2 * DAY) == expected
    with store.read() as tx:
        assert [reason for reason in said if cached_scores(tx, reason, ["hash"])] == said[-1:]


def _answer(reason: str) -> Verdict:
    """A judge's, kept for whatever has the same content again."""
    score = Score(
        evaluator="judge",
        version="1",
        content_hash="hash",
        score=0.9,
        label="hallucinated",
        confidence=0.9,
        reason=reason,
        asks=True,
    )
    state = EvaluationState.JUDGED
    return Verdict(request_id=reason, state=state, scores=(score,), decided_by=0, bin=7, content=reason)


def test_a_pruned_request_that_comes_again_is_a_repeat(store: Store, tmp_path: Path) -> None:
    lines = filled(store, tmp_path)
    retention.prune(store, ALL)
    with store.read() as tx:
        before = status(tx, Now().now())
    (tmp_path / "again.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    run_job(store.url, f"{tmp_path}/again.jsonl")
    with store.read() as tx:
        after = status(tx, Now().now())
    assert after["sampled"] == before["sampled"]
    assert after["repeats"] == 2 * before["repeats"] + before["sampled"]


def test_the_evidence_of_an_open_incident_stays(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path)
    with store.write() as tx:
        key = tx.rows("all_keys")[0]["test_key"]
        tx._connection.exec_driver_sql(
            "INSERT INTO incidents (incident, test_key, indicator, intent, deployment, opened_at, state, evidence)"
            f" VALUES ('i', '{key}', 'hallucination', 'x', 'd', 0, 'open', '{{}}')"
        )
        tx._connection.exec_driver_sql(
            f"INSERT INTO incident_keys (test_key, incident, joined_at) VALUES ('{key}', 'i', 0)"
        )
        of_key = tx._connection.exec_driver_sql(f"SELECT request_id FROM outcomes WHERE test_key = '{key}'")
        needed = {row[0] for row in of_key}
    retention.prune(store, ALL)
    kept = {name for name, payload in payloads(store).items() if payload.get("response") is not None}
    assert needed
    assert kept == needed | waiting(store)


def test_a_job_prunes_once_a_day(store: Store, tmp_path: Path) -> None:
    filled(store, tmp_path)
    config = config_of(store.url, 1 << 20)
    config = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, retention_days=1))
    clock = Now()
    clock.time = max(row for row in _times(store)) + 3 * DAY
    jobs.run(config, store, clock, logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    kept = {name for name, payload in payloads(store).items() if payload.get("response") is not None}
    assert kept == waiting(store)
    assert retention.daily(store, config, clock) is None
    clock.time += DAY
    assert retention.daily(store, config, clock) == retention.Pruned()
    clock.time -= 10 * DAY  # a clock that was set back keeps nobody from it
    assert retention.daily(store, config, clock) is not None
    clock.time += 2 * DAY
    assert retention.daily(store, config_of(store.url, 1 << 20), clock) is None


def _times(store: Store) -> list[int]:
    with store.read() as tx:
        return [row["timestamp"] for row in tx.rows("dump_samples")]


def rollups(store: Store) -> list[int]:
    """Event times of the rollups, in the order of time."""
    with store.read() as tx:
        return sorted(row["bucket"] * FIVE_MINUTES for row in tx.rows("dump_rollup_5m"))


def _last(lines: list[bytes]) -> Micros:
    times = re.findall(rb'"timestamp": ?"(20[0-9-]{8}T[0-9:.]+)', b"".join(lines))
    return int(datetime.fromisoformat(max(times).decode() + "+00:00").timestamp()) * SECOND


@pytest.mark.parametrize("long_ago", [False, True], ids=["months ahead", "what was there before"])
def test_rollups_go_after_their_time(store: Store, tmp_path: Path, long_ago: bool) -> None:
    """Whether they have months of their own or came when there were none."""
    lines = compose(800)
    replay.whole(tmp_path, lines)
    clock = Now()
    clock.time = _last(lines) + (100 * DAY if long_ago else DAY // 24)
    config = config_of(store.url, 1 << 20)
    jobs.run(config, store, clock, logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    there = rollups(store)
    middle = there[len(there) // 2]
    expected = retention.preview_rollups(store, middle)
    assert expected == sum(time < middle for time in there) > 0
    assert retention.prune_rollups(store, middle) == expected
    assert rollups(store) == [time for time in there if time >= middle]
    run_job(store.url, f"{tmp_path}/*.jsonl")  # nothing of it comes back
    assert rollups(store) == [time for time in there if time >= middle]
    assert retention.prune_rollups(store, ALL) == len(there) - expected
    assert rollups(store) == []


def test_what_a_window_may_ask_for_stays() -> None:
    slo = Slo(name="n", intent="i", allowed=0.01, window=Window(count=90, unit="d", rolling=True))
    config = msgspec.structs.replace(config_of("sqlite://", 1), slos=(slo,))
    assert retention.oldest_rollups(config, 7 * DAY, 1000 * DAY) == 880 * DAY
    assert retention.oldest_rollups(config, 400 * DAY, 1000 * DAY) == 600 * DAY


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    filled(store, tmp_path, 100)
    store.close()
    flags = ["--store", store.url, "--older-than", "1d", "--rollups-older-than", "1d", "--json"]
    assert main(["store", "prune", *flags, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] > 0
    assert main(["store", "prune", *flags]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert main(["store", "prune", "--store", store.url]) == 2
