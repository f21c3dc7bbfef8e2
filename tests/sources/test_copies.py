"""Logs that are compressed while somebody looks: every line counts once, whenever the looks come."""

import gzip
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import copies
from pipelines.sources.file_planner import PATIENCE
from tests.support.ingest import Now, ingest
from tests.support.logs import line
from tidegauge.cli import main
from tidegauge.service.tickets import ticket_rows
from tidegauge.storage import ledger
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}


def lines(first: int, last: int) -> bytes:
    return b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(first, last))


class Rotated:
    """A log that is written, rotated and compressed as logrotate does, and what came of it."""

    def __init__(self, store: Store, folder: Path, suffix: str = ".gz") -> None:
        self.store, self.folder, self.suffix = store, folder, suffix
        self.log = folder / "app.jsonl"
        self.clock = Now()
        self.written = 0
        self.compressing: tuple[Path, bytes] | None = None
        folder.mkdir()

    def write(self, count: int) -> None:
        with self.log.open("ab") as file:
            file.write(lines(self.written, self.written + count))
        self.written += count

    def rotate(self) -> None:
        """app.jsonl.2 becomes app.jsonl.3, and so on; not while a file of them is being compressed."""
        if self.compressing or not self.log.exists():
            return
        for number in range(20, 0, -1):
            for suffix in ("", self.suffix):
                path = self.folder / f"app.jsonl.{number}{suffix}"
                if path.exists():
                    path.rename(self.folder / f"app.jsonl.{number + 1}{suffix}")
        self.log.rename(self.folder / "app.jsonl.1")

    def compress(self, percent: int) -> None:
        """The next step: begins, with so many bytes of the outcome; goes on; ends; takes the plain one away."""
        if self.compressing is None:
            plain = sorted(p for p in self.folder.glob("app.jsonl.*") if p.suffix != self.suffix)
            if not plain:
                return
            self.compressing = plain[0], COMPRESS[self.suffix](plain[0].read_bytes())
        path, data = self.compressing
        target = path.with_name(path.name + self.suffix)
        size = target.stat().st_size if target.exists() else -1
        if size == len(data):
            path.unlink()
            self.compressing = None
        else:
            target.write_bytes(data[: max(size, len(data) * percent // 100)] if percent < 100 else data)

    def look(self) -> None:
        list(ingest(self.store, f"{self.folder}/*.jsonl*", self.clock, block_bytes=2_000))

    @property
    def found(self) -> dict[str, Any]:
        with self.store.read() as tx:
            return status(tx, self.clock.now())

    def counted_once(self) -> None:
        found = self.found
        assert (found["seen"], found["sampled"], found["repeats"]) == (self.written, self.written, 0)
        assert found["blocks"]["planned"] == found["blocks"]["lost"] == 0
        with self.store.read() as tx:
            assert ticket_rows(tx) == []

    def take(self, what: str, amount: int) -> None:
        """One of `STEPS`."""
        getattr(self, what)(*([amount] if what in ("write", "compress") else []))


@contextmanager
def whole_life(suffix: str) -> Iterator[Rotated]:
    """A log with a store of its own. In the end, whatever came before, each line counts once."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        migrate(store)
        log = Rotated(store, Path(folder) / "logs", suffix)
        yield log
        while log.compressing:
            log.compress(100)
        for _ in range(2):
            log.look()
        log.counted_once()
        store.close()


@pytest.fixture(params=COMPRESS)
def rotated(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Rotated:
    return Rotated(store, tmp_path / "logs", request.param)


@pytest.mark.parametrize("percents", [[0, 100], [2, 100], [50, 100], [50, 70, 90, 100], [100]])
def test_what_is_caught_half_compressed_is_counted_once(rotated: Rotated, percents: list[int]) -> None:
    rotated.write(200)
    rotated.look()
    rotated.write(50)
    rotated.rotate()
    rotated.write(3)
    for percent in percents:
        rotated.compress(percent)
        for _ in range(2):
            rotated.look()
        rotated.clock.time += PATIENCE
    rotated.compress(100)
    rotated.look()
    rotated.counted_once()


def test_a_log_and_its_compression_that_both_stay_are_one_log(
    rotated: Rotated, capsys: pytest.CaptureFixture[str]
) -> None:
    rotated.write(100)
    rotated.rotate()
    rotated.compress(100)
    for _ in range(3):
        rotated.look()
        rotated.clock.time += PATIENCE
    rotated.counted_once()
    copy, log = (f"{rotated.folder}/app.jsonl.1{suffix}" for suffix in (rotated.suffix, ""))
    [row] = rotated.found["copies"]
    assert (row["path"], row["original"]) == (copy, log)
    assert main(["--store", rotated.store.url, "status"]) == 0
    assert f"not read: {copy}, as far as it goes a copy of {log}" in capsys.readouterr().out
    rotated.compress(100)
    rotated.look()
    rotated.counted_once()
    assert rotated.found["copies"] == []


def test_a_log_that_was_gone_for_a_look_and_comes_back_compressed_is_counted_once(rotated: Rotated) -> None:
    rotated.write(100)
    rotated.look()
    data = rotated.log.read_bytes()
    rotated.log.unlink()
    rotated.look()
    whole = COMPRESS[rotated.suffix](data)
    target = rotated.log.with_name("app.jsonl" + rotated.suffix)
    for size in (len(whole) // 2, len(whole)):
        target.write_bytes(whole[:size])
        rotated.look()
    rotated.counted_once()


def test_two_logs_that_begin_alike_are_two(rotated: Rotated) -> None:
    rotated.write(20)
    other = lines(0, 20) + lines(20, 30)
    (rotated.folder / f"other.jsonl{rotated.suffix}").write_bytes(COMPRESS[rotated.suffix](other))
    with rotated.log.open("ab") as file:
        file.write(lines(50, 60))
    rotated.look()
    found = rotated.found
    assert (found["seen"], found["sampled"], found["repeats"]) == (60, 40, 20)


def test_a_log_that_goes_while_a_look_compares_it_is_left_to_the_next(rotated: Rotated) -> None:
    rotated.write(100)
    rotated.rotate()
    rotated.compress(0)
    rotated.look()
    with rotated.store.read() as tx:
        followed = ledger.generations(tx, f"{rotated.folder}/*.jsonl*")
    rotated.compress(100)
    rotated.compress(100)
    log, copy = f"{rotated.folder}/app.jsonl.1", f"{rotated.folder}/app.jsonl.1{rotated.suffix}"
    assert not Path(log).exists()
    assert copies.original(copy, followed, [], False) == log
    rotated.look()
    rotated.counted_once()


def test_copies_that_stay_are_not_compared_at_each_look(rotated: Rotated) -> None:
    for number in range(40):
        data = lines(number, number + 1)
        (rotated.folder / f"{number:02}.jsonl").write_bytes(data)
        (rotated.folder / f"{number:02}.jsonl{rotated.suffix}").write_bytes(COMPRESS[rotated.suffix](data))
        rotated.written += 1
    before = copies._agrees.cache_info().misses
    rotated.look()
    rotated.look()
    assert copies._agrees.cache_info().misses - before == 40
    assert len(rotated.found["copies"]) == 40
    rotated.counted_once()


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 12)),
    st.just(("rotate", 0)),
    st.tuples(st.just("compress"), st.sampled_from([0, 1, 30, 60, 100])),
    st.just(("look", 0)),
    st.just(("look", 0)),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(COMPRESS)), st.lists(STEPS, max_size=25))
def test_every_line_counts_once_whenever_the_looks_come(suffix: str, steps: list[tuple[str, int]]) -> None:
    with whole_life(suffix) as log:
        for what, amount in steps:
            log.take(what, amount)
