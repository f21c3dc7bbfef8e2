"""A judge that cannot be asked is heard of, until it answers."""

import json
import time
from pathlib import Path

import pytest

from pipelines import jobs
from tests.jobs.test_judging import configured, write
from tests.support.ingest import Now
from tidegauge.cli import main
from tidegauge.config import Config
from tidegauge.domain import MINUTE, SECOND
from tidegauge.service import unanswerable
from tidegauge.service.interlock import health_rows
from tidegauge.service.tickets import ticket_rows
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import Fault, JudgeServer
from tidegauge.testing.loopback import Call

KEY = "sk-test-0123456789abcdef"
REFUSED = Fault("status", 401, text=f"Incorrect API key provided: {KEY}")


def look(config: Config, store: Store, folder: Path, clock: Now) -> dict:
    jobs.run(config, store, clock, logs=[f"{folder}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        return status(tx, clock.now())["evaluation"]["failing"]


def down(store: Store) -> list[tuple[str, str]]:
    with store.read() as tx:
        return [(t["owner"], t["state"]) for t in ticket_rows(tx) if t["kind"] == "judge_down"]


def test_a_refused_key_is_said_until_the_judge_answers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_JUDGE_API_KEY", KEY)
    clock = Now()
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(25)])
    with JudgeServer(faults=[REFUSED] * 25) as server:
        config = configured(store, server, owner="evaluations")
        failing = look(config, store, tmp_path, clock)["judge"]
        assert (failing["failures"], failing["calls"]) == (25, 25)
        assert "answers 401 Unauthorized" in failing["reason"]
        assert "TIDEGAUGE_JUDGE_API_KEY" in failing["reason"]
        assert down(store) == [("evaluations", "open")]
        with store.read() as tx:
            assert KEY not in json.dumps([failing, ticket_rows(tx), health_rows(tx)])
            (row,) = health_rows(tx)
        assert (row["evaluator"], row["failing"]["failures"]) == ("judge", 25)
        assert look(config, store, tmp_path, clock) == {}
        assert down(store) == [("evaluations", "closed")]


def test_a_few_failures_are_a_ticket_once_they_last(store: Store, tmp_path: Path) -> None:
    clock = Now()
    write(tmp_path, "log", ["Refunds take 3 days."])
    with JudgeServer(faults=[REFUSED] * 2) as server:
        config = configured(store, server)
        assert look(config, store, tmp_path, clock)["judge"]["failures"] == 1
        assert down(store) == []
        clock.time += 10 * MINUTE
        assert look(config, store, tmp_path, clock)["judge"]["failures"] == 2
        assert down(store) == [("platform", "open")]


def test_what_is_pending_waits_for_a_judge_that_is_down(store: Store, tmp_path: Path) -> None:
    clock = Now()
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(40)])
    with JudgeServer(faults=[REFUSED] * 1_000) as server:
        config = configured(store, server)
        assert look(config, store, tmp_path, clock)["judge"]["failures"] == 40
        asked = server.counters.requests
        assert look(config, store, tmp_path, clock)["judge"]["reason"]
        assert server.counters.requests <= asked + 1  # a try, at most
        server.fail([])
        until = time.monotonic() + 60
        while look(config, store, tmp_path, clock) and time.monotonic() < until:
            pass
        look(config, store, tmp_path, clock)
    with store.read() as tx:
        assert status(tx, clock.now())["judged"] == 40


def test_a_look_ends_with_a_try_in_vain_however_soon_the_next_one_is_due(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluators.limits.FIRST_TRY", 0.0)
    clock = Now()
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(40)])
    with JudgeServer(faults=[REFUSED] * 1_000) as server:
        config = configured(store, server)
        look(config, store, tmp_path, clock)
        asked = server.counters.requests
        look(config, store, tmp_path, clock)
        assert server.counters.requests == asked + 1


def test_samples_that_always_fail_do_not_keep_a_judge_that_is_back_from_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluators.judge._BACKOFF", 0.01)
    clock = Now()
    write(tmp_path, "log", ["poison"] * 8 + [f"Refunds take {n} days." for n in range(32)])
    with _Poisoned(faults=[REFUSED] * 1_000) as server:
        config = configured(store, server)
        assert look(config, store, tmp_path, clock)["judge"]["failures"] == 40
        server.fail([])
        until = time.monotonic() + 60
        judged = 0
        while judged < 32 and time.monotonic() < until:
            look(config, store, tmp_path, clock)
            clock.time += SECOND  # another look tries another sample
            with store.read() as tx:
                judged = status(tx, clock.now())["judged"]
    assert judged == 32


def test_a_judge_that_is_off_keeps_nobody_waiting(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(25)])
    with JudgeServer(faults=[REFUSED] * 25) as server:
        look(configured(store, server), store, tmp_path, Now())
    assert down(store) == [("platform", "open")]
    assert look(Config(), store, tmp_path, Now()) == {}
    assert down(store) == [("platform", "closed")]


def test_commands_name_what_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGAUGE_JUDGE_API_KEY", raising=False)
    write(tmp_path, "log", [f"Refunds take {n} days." for n in range(40)])
    with JudgeServer(faults=[REFUSED] * 40) as server:
        (tmp_path / "tidegauge.yaml").write_text(
            "sources: [{files: '*.jsonl'}]\nsampling: {rate: 1}\n"
            f"judge: {{base_url: '{server.base_url}', model: m, concurrency: 1}}\n"
        )
        host = server.base_url.split("/")[2]
        assert main(["run"]) == 0
    said = f"{host} answers 401 Unauthorized: TIDEGAUGE_JUDGE_API_KEY is not set"
    last = capsys.readouterr().err.splitlines()[-2]
    assert last.startswith("judge: no answer to 40 questions in ")
    assert last.endswith(said)  # also where most were not asked any more
    for command in (["status"], ["judge", "health"], ["judge", "health", "--json"], ["tickets", "--json"]):
        assert main(command) == 0
        assert said in capsys.readouterr().out, command


class _Poisoned(JudgeServer):
    """Fails at one answer, whenever it is asked about it."""

    def respond(self, call: Call) -> None:
        if b"poison" in call.body:
            call.send_json(500, {"error": {"message": "worker crashed"}})
        else:
            super().respond(call)


def test_a_sample_that_only_ever_fails_is_unscored_and_counted(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluators.judge._BACKOFF", 0.01)
    clock = Now()
    write(tmp_path, "log", ["poison"])
    with _Poisoned() as server:
        config = configured(store, server)
        for number in range(unanswerable.MOST):
            write(tmp_path, f"log{number}", [f"Refunds take {number} or {n} days." for n in range(5)])
            look(config, store, tmp_path, clock)
            clock.time += 15 * MINUTE
    with store.read() as tx:
        found = status(tx, clock.now())
    assert (found["judged"], found["unscored"], found["pending"]) == (5 * unanswerable.MOST, 1, 0)
    assert found["evaluation"]["judge_failed"] == 1
    assert main(["--store", store.url, "status"]) == 0
    assert "judge_failed: 1 " in capsys.readouterr().out
