"""What a process measures reaches the store once, and is kept while the store is away."""

from pathlib import Path

import pytest

from evaluators.build import build_cascade
from evaluators.window import JudgeWindow
from pipelines.measures import Measures
from tidegauge.config import Config, JudgeSection
from tidegauge.domain import SECOND
from tidegauge.errors import StoreError
from tidegauge.storage import flow, ledger
from tidegauge.storage.ledger import Owner
from tidegauge.storage.store import Store
from tidegauge.testing.judge_server import JudgeServer

NOW = 1_800_000_000 * SECOND


def read(store: Store) -> dict:
    with store.read() as tx:
        return flow.flow(tx, NOW)


def test_measures_are_written_once(store: Store) -> None:
    measures = Measures()
    with measures.timed("commit") as timed:
        timed.units = 7
    measures.observe("commit", 0.3, 3)
    measures.flush(store, "me")
    measures.flush(store, "me")
    found = read(store)["timings"]["commit"]
    assert (found["observations"], found["units"], found["p95_seconds"]) == (2, 10, 0.5)


def test_what_raises_is_not_timed(store: Store) -> None:
    measures = Measures()
    with pytest.raises(ValueError, match="no"), measures.timed("commit"):
        raise ValueError("no")
    measures.flush(store, "me")
    assert read(store)["timings"]["commit"]["observations"] == 0


def test_a_store_that_is_away_loses_nothing(store: Store, tmp_path: Path) -> None:
    measures, gone = Measures(), Store(f"sqlite:///{tmp_path}/no/store.db")
    measures.observe("commit", 0.3, 3)
    with pytest.raises(StoreError):
        measures.flush(gone, "me")
    measures.observe("commit", 0.3, 4)
    measures.flush(store, "me")
    assert read(store)["timings"]["commit"]["units"] == 7


def test_judges_count_while_their_window_is_open(store: Store) -> None:
    measures = Measures()
    with store.write() as tx:
        ledger.beat(tx, Owner("me", "elsewhere", 1, 0.0), NOW)
    with JudgeServer() as server:
        config = Config(judge=JudgeSection(base_url=server.base_url, model="m", concurrency=5))
        with JudgeWindow(build_cascade(config)) as window:
            measures.watch(window)
            measures.flush(store, "me")
            assert read(store)["judge"] == {"in_flight": 0, "at_once": 5, "share": 0.0}
        measures.flush(store, "me")
    assert read(store)["judge"]["share"] is None
