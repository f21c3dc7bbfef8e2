"""Streams: asked to stop, ended, or left behind by whoever submitted them."""

import os
import socket
from types import SimpleNamespace
from unittest import mock

import psutil
import pytest

from tidegauge.domain import DAY, SECOND
from tidegauge.storage import ledger, streams
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Store

NOW = 1_800_000_000 * SECOND
LATER = NOW + 2 * streams.SILENT_AFTER


def test_a_stream_stops_when_asked_and_once_it_has_ended(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "prism", NOW)
        assert not streams.stops(tx, "one", NOW)
        streams.stop(tx, "one")
        assert streams.stops(tx, "one", NOW)
        streams.end(tx, "one")
        assert streams.stops(tx, "one", NOW)


def test_a_pipeline_outlives_its_submitter_until_another_one_has_come(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "flink", NOW)
        assert not streams.stops(tx, "one", LATER)
        assert streams.left_behind(tx, LATER) == ["one"]
        streams.submit(tx, "two", "flink", LATER)
        assert streams.stops(tx, "one", LATER)
        assert not streams.stops(tx, "two", LATER)


def test_two_streams_whose_submitters_live_share_the_work(store: Store) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "flink", NOW)
        streams.submit(tx, "two", "flink", LATER)
        streams.beat(tx, "one", LATER)
        assert not streams.stops(tx, "one", LATER)
        assert not streams.stops(tx, "two", LATER)
        assert streams.left_behind(tx, LATER) == []


def test_a_submitter_whose_process_ids_are_not_ours_is_not_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as tx:
        streams.submit(tx, "one", "prism", NOW)
        monkeypatch.setattr(psutil, "Process", mock.Mock(side_effect=psutil.NoSuchProcess(1)))
        assert streams.left_behind(tx, NOW) == ["one"]
        with monkeypatch.context() as container:
            container.setattr(os, "stat", lambda path: SimpleNamespace(st_ino=len(path)))
            assert streams.left_behind(tx, NOW) == []
            assert streams.left_behind(tx, LATER) == ["one"]
        tx.script(f"UPDATE streams SET host = '{socket.gethostname()}'")
        assert streams.left_behind(tx, NOW) == [], "of a version that did not say whose ids they are"


def test_a_system_without_namespaces_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "stat", mock.Mock(side_effect=FileNotFoundError))
    assert Owner.this_process(NOW).host == socket.gethostname()


def test_a_new_stream_forgets_workers_that_were_silent_for_a_day(store: Store) -> None:
    with store.write() as tx:
        for name, at in (("long gone", NOW - 2 * DAY), ("of today", NOW)):
            ledger.beat(tx, Owner(name, "elsewhere", 1, 0.0), at)
        streams.submit(tx, "one", "prism", NOW)
        assert [row["owner"] for row in tx.rows("owners")] == ["of today"]
