"""Streams: asked to stop, ended, or left behind by whoever submitted them."""

import os
import socket
from types import SimpleNamespace
from unittest import mock

import msgspec
import psutil
import pytest

from tidegauge.domain import DAY, SECOND, Micros
from tidegauge.storage import ledger, streams
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Store, Transaction

NOW = 1_800_000_000 * SECOND
LATER = NOW + 2 * streams.SILENT_AFTER


def looks(tx: Transaction, watch: streams.Watch, begin: Micros, seconds: int) -> list[str]:
    """What is left behind after looks every other second, for so long."""
    found: list[str] = []
    for at in range(0, seconds + 1, 2):
        found = watch.left_behind(tx, begin + at * SECOND)
    return found


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever submits is of another host than whoever looks."""
    here = Owner.this_process(NOW)
    there = msgspec.structs.replace(here, host="elsewhere")
    monkeypatch.setattr(streams, "Owner", SimpleNamespace(this_process=lambda _: there))


def test_a_stream_stops_when_asked_and_once_it_has_ended(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "prism", NOW)
        assert not streams.stops(tx, "one")
        streams.stop(tx, "one")
        assert streams.stops(tx, "one")
        streams.end(tx, "one")
        assert streams.stops(tx, "one")


@pytest.mark.usefixtures("elsewhere")
def test_a_submitter_that_is_silent_for_a_minute_is_gone(store: Store) -> None:
    watch = streams.Watch()
    with store.write() as tx:
        streams.submit(tx, "one", "flink", NOW)
        assert looks(tx, watch, LATER, 60) == []
        assert looks(tx, watch, LATER + 60 * SECOND, 2) == ["one"]
        streams.end(tx, "one")
        assert looks(tx, watch, LATER, 2) == []


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("apart", [-90 * SECOND, 0, 90 * SECOND])
def test_two_streams_whose_submitters_live_share_the_work_whatever_their_clocks_say(store: Store, apart: int) -> None:
    watch = streams.Watch()
    with store.write() as tx:
        streams.submit(tx, "one", "flink", NOW + apart)
        for at in range(NOW, NOW + 200 * SECOND, 4 * SECOND):
            streams.beat(tx, "one", at + apart)
            assert looks(tx, watch, at, 2) == []


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("jump", [-LATER, 3600 * SECOND])
def test_a_jump_of_the_clock_and_a_store_that_was_away_are_no_silence_of_others(store: Store, jump: int) -> None:
    watch = streams.Watch()
    with store.write() as tx:
        streams.submit(tx, "one", "flink", NOW)
        assert looks(tx, watch, NOW, 40) == []
        assert watch.left_behind(tx, NOW + jump) == []


def test_a_submitter_whose_process_ids_are_not_ours_is_not_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "prism", NOW)
        monkeypatch.setattr(psutil, "Process", mock.Mock(side_effect=psutil.NoSuchProcess(1)))
        assert streams.Watch().left_behind(tx, NOW) == ["one"]
        with monkeypatch.context() as container:
            container.setattr(os, "stat", lambda path: SimpleNamespace(st_ino=len(path)))
            assert streams.Watch().left_behind(tx, NOW) == []
        tx.script(f"UPDATE streams SET host = '{socket.gethostname()}'")
        assert streams.Watch().left_behind(tx, NOW) == [], "of a version that did not say whose ids they are"


def test_a_system_without_namespaces_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "stat", mock.Mock(side_effect=FileNotFoundError))
    assert Owner.this_process(NOW).host == socket.gethostname()


def test_a_new_stream_forgets_workers_that_were_silent_for_a_day(store: Store) -> None:
    with store.write() as tx:
        for name, at in (("long gone", NOW - 2 * DAY), ("of today", NOW)):
            ledger.beat(tx, Owner(name, "elsewhere", 1, 0.0), at)
        streams.submit(tx, "one", "prism", NOW)
        assert [row["owner"] for row in tx.rows("owners")] == ["of today"]
