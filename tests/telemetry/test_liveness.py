"""Whether a probe sees that ticks have stopped: a real planner, a real store, a real server."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import presence
from pipelines.plan import Plan
from pipelines.work import STORE_VARIABLE, Settings, Tick
from tests.service.test_budget import wanted
from tests.support.ingest import begin
from tests.support.logs import NOON, line
from tests.telemetry.test_prometheus import samples, value
from tidegauge.cli import main
from tidegauge.config import Config, StoreSection, StreamSection
from tidegauge.config_sources import SourceSection
from tidegauge.domain import SECOND
from tidegauge.service.liveness import SILENCE_SECONDS, START_SECONDS, trouble
from tidegauge.storage import flow, streams
from tidegauge.storage.flow import Look
from tidegauge.storage.store import Store
from tidegauge.telemetry.server import MetricsServer
from tidegauge.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def planner(store: Store, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """The planner of a stream that was submitted, over a log of three lines and the begin of a fourth."""
    monkeypatch.setenv(STORE_VARIABLE, store.url)
    (tmp_path / "a.jsonl").write_bytes(b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(3)) + b'{"half')
    begin(store)
    with store.write() as tx:
        streams.submit(tx, "j", "prism", clock.now())
    config = Config(store=StoreSection(url=store.url), stream=StreamSection(tick_seconds=0.001))
    made = Plan(Settings(config, (SourceSection(files=f"{tmp_path}/*.jsonl"),), clock, stream="j"))
    made.setup()
    yield made
    made.teardown()
    presence.leave_all()


@pytest.fixture
def url(store: Store, clock: ManualClock) -> Iterator[str]:
    with MetricsServer(store, wanted(), clock, "127.0.0.1", 0).serving() as server:
        yield f"http://127.0.0.1:{server.port}"


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def look(planner: Plan, number: int) -> int:
    planner.looked = 0.0
    return len(list(planner.process(Tick(f"j:{number}"))))


def test_ticks_that_stop_turn_the_probe_red_and_ticks_that_return_turn_it_green(
    planner: Plan, clock: ManualClock, url: str
) -> None:
    assert look(planner, 1) == 1
    clock.advance(29 * SECOND)
    assert get(f"{url}/healthz") == (200, b'{"status": "ok"}')
    clock.advance(2 * SECOND)
    status, body = get(f"{url}/healthz")
    assert status == 503
    assert json.loads(body)["status"] == "failing"
    assert "stream j on prism: the last tick was 31 s ago" in json.loads(body)["reasons"][0]
    look(planner, 2)
    assert get(f"{url}/healthz")[0] == 200


def test_what_the_planner_saw_is_told(planner: Plan, clock: ManualClock, url: str, store: Store) -> None:
    look(planner, 1)
    clock.advance(3 * SECOND)
    planner.measures.flush(store, planner.presence.owner.name)
    found = samples(get(f"{url}/metrics")[1])
    assert value(found, "tidegauge_tick_age_seconds", runner="prism") == 3
    assert value(found, "tidegauge_ticks_total", runner="prism") == 1
    assert value(found, "tidegauge_tick_errors_total", runner="prism") == 0
    assert value(found, "tidegauge_tick_seconds_count") == 1
    assert value(found, "tidegauge_stream_workers", runner="prism") == 1
    assert value(found, "tidegauge_stage_waiting", stage="read") == 1
    assert value(found, "tidegauge_stage_oldest_seconds", stage="read") == 3
    source = {"source": planner.sources._by_name.copy().popitem()[0]}
    assert value(found, "tidegauge_source_behind", **source) == len(b'{"half')
    assert value(found, "tidegauge_source_planned", **source) == 3 * (len(line(request_id="r-0")) + 1)


def test_a_stream_that_failed_is_red_until_it_is_submitted_again(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "j", "flink", NOON)
        streams.fail(tx, "j", "no job server")
        assert trouble(tx, NOON) == ["stream j on flink: failed and is not running: no job server"]
        streams.end(tx, "j")
        assert trouble(tx, NOON) == []


@pytest.mark.parametrize(("every", "limit"), [(1.0, SILENCE_SECONDS), (60.0, 600.0)])
def test_how_long_a_stream_may_be_silent(store: Store, every: float, limit: float) -> None:
    last = NOON + round(limit * SECOND)
    with store.write() as tx:
        streams.submit(tx, "j", "flink", NOON)
        flow.note_tick(tx, Look("j", every, 0.1, {}), NOON)
        assert not trouble(tx, last)
        assert trouble(tx, last + 1)
        streams.stop(tx, "j")
        assert not trouble(tx, last + 1)


def test_a_stream_has_time_to_start(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "j", "flink", NOON)
        assert not trouble(tx, NOON + round(START_SECONDS * SECOND))
        assert "never ticked" in trouble(tx, NOON + round(START_SECONDS * SECOND) + SECOND)[0]


def test_the_command_says_the_same(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--store", store.url]) == 0
    assert "ok" in capsys.readouterr().out
    with store.write() as tx:
        streams.submit(tx, "j", "prism", NOON)
    assert main(["health", "--store", store.url, "--json"]) == 1
    assert "never ticked" in json.loads(capsys.readouterr().out)["reasons"][0]


def test_a_store_that_is_gone_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--store", "sqlite:////nowhere/at/all.db"]) == 1
    assert "no such store: /nowhere/at/all.db" in capsys.readouterr().out
