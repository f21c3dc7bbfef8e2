"""The whole job on the in-process runner: conservation, and the same dump however the log is cut."""

import contextlib
import errno
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from pipelines import jobs
from pipelines.sources.file_planner import FilePlanner
from pipelines.sources.file_source import FileSource
from pipelines.sources.source import Behind, Planning
from pipelines.start import prepare
from tests.alerts.world import at, breach
from tests.support.ingest import Now, ingest
from tests.support.logs import line
from tests.support.unreadable import unreadable
from tidegauge.cli import main, parser
from tidegauge.commands.context import Context
from tidegauge.commands.run import run as command
from tidegauge.config import (
    Config,
    EvaluationSection,
    JobSection,
    JudgeSection,
    RollbackSection,
    SamplingSection,
    StoreSection,
    WebhookSection,
)
from tidegauge.domain import HOUR, SECOND
from tidegauge.errors import SourceError, StoreUnavailable
from tidegauge.storage.dump import canonical
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.clock import ManualClock

ALONE = JudgeSection(base_url="http://127.0.0.1:1/v1", model="m")


def log() -> list[bytes]:
    good = [line(request_id=f"r-{n}", intent=f"intent.{n % 3}", latency_ms=100.0 + n) for n in range(300)]
    return [*good[:100], b"not json", b"", *good[100:], *good[:20]]


def run(store: Store, source: str, block_bytes: int = 1 << 20) -> bytes:
    config = Config(
        store=StoreSection(url=store.url),
        sampling=SamplingSection(rate=0.3),
        job=JobSection(block_bytes=block_bytes),
    )
    assert not jobs.run(config, store, Now(), logs=[source], progress=jobs.silent).stopped, "by a signal from outside"
    with store.read() as tx:
        found = status(tx, Now().now())
        assert found["seen"] == found["quarantined"] + found["unsampled"] + found["sampled"] + found["repeats"]
        assert found["seen"] == 321
        assert found["sampled"] == found["judged"] + found["unscored"] + found["pending"]
        assert found["pending"] == 0
        return b"".join(canonical(tx))


@pytest.mark.parametrize(
    ("config", "asks"),
    [
        (Config(), False),
        (Config(judge=ALONE), True),
        (Config(judge=ALONE, evaluation=EvaluationSection(evaluators=("rules", "overlap"))), False),
        (Config(judge=JudgeSection(panel=("a",)), judges={"a": ALONE}), True),
        (Config(judges={"a": ALONE}, evaluation=EvaluationSection(evaluators=("rules", "a"))), True),
    ],
)
def test_heuristics_are_said_to_decide_alone_only_where_no_judge_is_asked(
    config: Config, asks: bool, store: Store
) -> None:
    said = []
    prepare(config, store, Now(), lambda event, **facts: said.append(event))
    assert ("judge" not in said) is asks


def test_the_dump_is_the_same_however_the_log_is_cut(store: Store, tmp_path: Path) -> None:
    from tidegauge.storage.migrations import migrate

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    lines = log()
    (whole / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    for n in range(0, len(lines), 25):
        (parts / f"{900 - n}.jsonl").write_bytes(b"\n".join(lines[n : n + 25]) + b"\n")
    first = run(store, f"{whole}/*.jsonl")
    assert run(store, f"{whole}/*.jsonl") == first
    other = Store(f"sqlite:///{tmp_path}/other.db")
    migrate(other)
    assert run(other, f"{parts}/*.jsonl", block_bytes=2_000) == first
    other.close()


def test_what_was_planned_before_the_clock_was_set_back_is_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(log()) + b"\n")
    ahead = ManualClock(Now().now() + 2 * HOUR)
    FilePlanner(store, ahead, Planning(2_000)).plan(f"{tmp_path}/*.jsonl")
    run(store, f"{tmp_path}/*.jsonl")


@pytest.mark.timeout(60)
def test_a_look_ends_beside_a_stream_whose_samples_wait(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, streamed, tick = Now(), tmp_path / "streamed", jobs._Job._tick
    streamed.mkdir()
    config = Config(store=StoreSection(url=store.url), sampling=SamplingSection(rate=1.0))
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(log()) + b"\n")

    def beside(job: jobs._Job, sweep: str, planned_by: int) -> bool:
        done = tick(job, sweep, planned_by)
        clock.time += SECOND
        if (number := len(list(streamed.iterdir()))) < 8:
            (streamed / f"{number}.jsonl").write_bytes(line(request_id=f"s-{number}") + b"\n")
            assert list(ingest(store, f"{streamed}/*.jsonl", clock)) == []
        return done

    monkeypatch.setattr(jobs._Job, "_tick", beside)
    assert jobs.run(config, store, clock, logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent).ticks == 2
    with store.read() as tx:
        found = status(tx, clock.now())
    assert (found["judged"], found["pending"]) == (301, 1)


def test_a_job_goes_on_where_it_cannot_tell_what_is_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind(*_: object) -> list[Behind]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileSource, "behind", behind)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(log()) + b"\n")
    run(store, f"{tmp_path}/*.jsonl")


@pytest.mark.timeout(60)
def test_a_look_ends_though_a_planned_log_is_missed_and_may_be_one_that_cannot_be_read(
    store: Store, tmp_path: Path
) -> None:
    missed, denied = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path in (missed, denied):
        path.write_bytes(b"\n".join(log()) + b"\n")
    config = Config(store=StoreSection(url=store.url))
    with unreadable(denied):
        with pytest.raises(SourceError, match="Permission denied"):
            FilePlanner(store, Now(), Planning(1 << 20)).plan(f"{tmp_path}/*.jsonl")
        missed.rename(tmp_path / "away")
        jobs.run(config, store, Now(), logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        assert status(tx, Now().now())["seen"] == 0


def test_what_is_wrong_with_the_store_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config(store=StoreSection(url=f"sqlite:///{tmp_path}/store.db"))
    with contextlib.closing(Store(config.store.url)) as store:
        jobs.run(config, store, Now(), logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DROP TABLE generations")
    with (
        contextlib.closing(Store(config.store.url)) as store,
        pytest.raises(StoreUnavailable, match=r"no such table: generations$"),
    ):
        jobs.run(config, store, Now(), logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    assert not caplog.records


class Interrupted(Now):
    """Somebody presses Ctrl-C as soon as the job listens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.before = signal.getsignal(signal.SIGINT)

    def now(self) -> int:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not self.before:
            signal.raise_signal(signal.SIGINT)
        return super().now()


def test_a_signal_ends_what_the_job_is_a_step_of(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(log()) + b"\n")
    config = Config(store=StoreSection(url=store.url))
    with pytest.raises(KeyboardInterrupt):
        jobs.run_silently(config, store, Interrupted(), f"{tmp_path}/*.jsonl")
    with store.read() as tx:
        assert status(tx, Now().now())["seen"] == 0
    jobs.run_silently(config, store, Now(), f"{tmp_path}/*.jsonl")
    with store.read() as tx:
        assert status(tx, Now().now())["seen"] == 321


def test_a_run_stopped_at_once_does_not_say_that_there_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.jsonl").write_bytes(line() + b"\n")
    given = ["run", "--store", f"sqlite:///{tmp_path}/store.db", "--log", f"{tmp_path}/log.jsonl"]
    assert command(Context(parser().parse_args(given), {}, Interrupted())) == 0
    assert "stopped before anything was read; next: tidegauge run" in capsys.readouterr().err
    assert command(Context(parser().parse_args(given), {}, Now())) == 0
    assert "seen 1," in capsys.readouterr().err


def test_a_store_named_on_the_command_line_is_the_one_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(line() + b"\n")
    config = tmp_path / "tidegauge.yaml"
    config.write_text(f'store: {{url: "sqlite:///other.db"}}\nsources: [{{files: "{tmp_path}/log.jsonl"}}]\n')
    named = f"sqlite:///{tmp_path}/named.db"
    assert main(["run", "--config", str(config), "--store", named]) == 0
    store = Store(named)
    with store.read() as tx:
        assert status(tx, 0)["seen"] == 1
    store.close()
    assert not (tmp_path / "other.db").exists()


def test_a_rollback_that_cannot_be_signed_keeps_nobody_from_reading(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", raising=False)
    breach(store)
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(log()) + b"\n")
    rollback = RollbackSection(mode="auto", webhook=WebhookSection(url="http://127.0.0.1:9/"))
    config = Config(store=StoreSection(url=store.url), sampling=SamplingSection(rate=0.3), rollback=rollback)
    for _ in range(2):
        jobs.run(config, store, Now(at(13)), logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        assert status(tx, at(13))["blocks"] == {"planned": 0, "done": 1, "lost": 0}
