"""A file that cannot be read: the others go on, it is named, and nothing is lost or counted twice over it."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import files
from pipelines.sources.build import Sources
from pipelines.sources.source import Planning
from tests.sources.test_copies import COMPRESS, STEPS, Rotated, whole_life
from tests.sources.test_file_planner import Log, lines
from tests.support.ingest import begin, work_off
from tests.support.unreadable import unreadable
from tidegauge.config_sources import SourceSection
from tidegauge.storage import ledger
from tidegauge.storage.store import Store


@pytest.fixture
def log(store: Store, tmp_path: Path) -> Log:
    return Log(store, tmp_path / "logs")


def look(log: Log | Rotated, *denied: Path, final: bool = False) -> str:
    """One look at a folder while some of its files cannot be read; what it says."""
    sources = Sources([SourceSection(files=f"{log.folder}/*.jsonl*")])
    begin(log.store)
    with unreadable(*denied):
        failed = sources.plan(log.store, log.clock, Planning(2_000, final))
        (source,) = sources
        work_off(source, log.store, log.clock)
    return failed.get(source.name, "")


def nothing_lost(log: Log) -> None:
    with log.store.read() as tx:
        assert tx.rows("list_tickets") == []
    assert log.status["blocks"]["lost"] == 0


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz", "b.jsonl.zst"])
def test_a_new_file_that_cannot_be_read_is_named_and_keeps_no_other(log: Log, name: str) -> None:
    b = log.folder / name
    for n, path in enumerate((log.folder / "a.jsonl", b, log.folder / "c.jsonl", log.folder / "d.jsonl.gz")):
        data = lines(10 * n, 10 * n + 10)
        path.write_bytes(COMPRESS[path.suffix](data) if path.suffix in COMPRESS else data)
    for _ in range(2):
        assert look(log, b) == f"{b}: Permission denied"
        assert log.counts == (30, 0)
    assert look(log) == ""
    assert log.counts == (40, 0)
    nothing_lost(log)


def test_a_known_file_that_cannot_be_read_any_more_is_not_taken_as_gone(log: Log) -> None:
    a, b, c = (log.folder / f"{name}.jsonl" for name in "abc")
    for n, path in enumerate((a, b, c)):
        path.write_bytes(lines(10 * n, 10 * n + 10))
    look(log)
    for path, first in ((a, 30), (b, 40), (c, 50)):
        with path.open("ab") as file:
            file.write(lines(first, first + 10))
    for _ in range(2):
        assert look(log, b) == f"{b}: Permission denied"
        assert log.counts == (50, 0)
    assert look(log) == ""
    assert log.counts == (60, 0)
    with log.store.read() as tx:
        assert len(ledger.generations(tx, f"{log.folder}/*.jsonl*")) == 3
    nothing_lost(log)


def test_a_log_that_nobody_may_read_after_its_rotation_is_waited_for(log: Log) -> None:
    path, rotated = log.folder / "a.jsonl", log.folder / "a.jsonl.1"
    path.write_bytes(lines(0, 10))
    look(log)
    with path.open("ab") as file:
        file.write(lines(10, 20))
    path.rename(rotated)
    path.write_bytes(lines(20, 25))
    for _ in range(2):
        assert look(log, rotated) == f"{rotated}: Permission denied"
        assert log.counts == (15, 0)
    assert look(log) == ""
    assert log.counts == (25, 0)
    nothing_lost(log)


def test_what_may_be_a_file_that_cannot_be_read_begins_no_second_time(log: Log) -> None:
    path, rotated = log.folder / "a.jsonl", log.folder / "a.jsonl.1"
    path.write_bytes(lines(0, 10))
    look(log)
    path.rename(rotated)
    path.write_bytes(lines(20, 40))  # as large, so that it may be the one
    for _ in range(2):
        assert look(log, path) == f"{path}: Permission denied"
        assert log.counts == (10, 0)
    assert look(log) == ""
    assert log.counts == (30, 0)
    nothing_lost(log)


def test_the_compression_of_a_log_that_cannot_be_read_waits_for_it(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    (log.folder / "a.jsonl.gz").write_bytes(gzip.compress(lines(0, 10)))
    for _ in range(2):
        assert look(log, path) == f"{path}: Permission denied"
    assert look(log) == ""
    assert log.counts == (10, 0)


def test_of_many_some_are_named(log: Log) -> None:
    paths = [log.folder / f"{n}.jsonl" for n in range(5)]
    for n, path in enumerate(paths):
        path.write_bytes(lines(n, n + 1))
    said = look(log, *paths)
    assert said == "; ".join(f"{path}: Permission denied" for path in paths[:3]) + "; and 2 more files"
    assert said == look(log, *paths)


def test_a_file_whose_name_is_not_utf8_is_named_as_one_can_print_it_and_keeps_no_other(log: Log) -> None:
    path = log.folder / os.fsdecode(b"caf\xe9.jsonl")
    for n, one in enumerate((log.folder / "a.jsonl", path, log.folder / "d.jsonl")):
        one.write_bytes(lines(10 * n, 10 * n + 10))
    (source,) = Sources([SourceSection(files=f"{log.folder}/*.jsonl*")])
    for _ in range(2):
        assert look(log) == f"{log.folder}/caf\\xe9.jsonl: its name is not UTF-8"
        assert log.counts == (20, 0)
        assert source.behind(log.store) == []
    path.rename(log.folder / "cafe.jsonl")
    assert look(log) == ""
    assert log.counts == (30, 0)
    nothing_lost(log)


def test_a_log_is_not_followed_under_a_name_that_is_not_utf8(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    look(log)
    path.rename(log.folder / os.fsdecode(b"a.jsonl.\xe9"))
    for _ in range(2):
        assert look(log).endswith("a.jsonl.\\xe9: its name is not UTF-8")
    assert log.counts == (10, 0)


def test_a_file_that_goes_during_a_look_is_not_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    (source,) = Sources([SourceSection(files=f"{log.folder}/*.jsonl")])
    matching = files.matching

    def then_rotated(pattern: str) -> Any:
        found = matching(pattern)
        path.unlink()
        return found

    monkeypatch.setattr(files, "matching", then_rotated)
    assert source.behind(log.store) == []


HIDDEN = st.tuples(st.just("hidden"), st.lists(st.integers(0, 9), max_size=3))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(COMPRESS)), st.lists(st.one_of(STEPS, HIDDEN), max_size=30))
def test_every_line_counts_once_whatever_could_not_be_read_meanwhile(
    suffix: str, steps: list[tuple[str, int | list[int]]]
) -> None:
    with whole_life(suffix) as log:
        for what, amount in steps:
            if isinstance(amount, list):
                there = sorted(log.folder.iterdir())
                look(log, *{there[n % len(there)] for n in amount} if there else ())
            else:
                log.take(what, amount)
