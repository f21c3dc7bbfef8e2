"""What a stream's worker keeps while it works on it."""

import gzip
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines import presence
from pipelines.plan import Plan
from pipelines.sampling import prepare
from pipelines.transforms import Read
from pipelines.work import STORE_VARIABLE, Settings, Tick, Work
from tests.support.logs import NOON, line
from tidegauge.config import Config, SamplingSection, StoreSection
from tidegauge.config_sources import SourceSection
from tidegauge.domain import SECOND, Block
from tidegauge.storage import ledger, streams
from tidegauge.storage.ledger import LEASE, Claim, Claimed
from tidegauge.storage.status import status
from tidegauge.storage.store import Store
from tidegauge.testing.clock import ManualClock


class Slow:
    """The sources of a worker, with something that happens before each piece that is read."""

    def __init__(self, inner: Any, between: Callable[[], None]) -> None:
        self._inner, self._between = inner, between

    def of(self, block: Any) -> Any:
        self._source = self._inner.of(block)
        return self

    def read(self, claimed: Any) -> Iterator[Any]:
        for piece in self._source.read(claimed):
            self._between()
            yield piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source if name == "place" else self._inner, name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def settings(store: Store, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A stream over an archive of three lines."""
    monkeypatch.setenv(STORE_VARIABLE, store.url)
    lines = b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(3))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    prepare(store, clock, 1.0, os.environ["TIDEGAUGE_SAMPLING_KEY"], print)
    with store.write() as tx:
        streams.submit(tx, "j", "prism", clock.now())
    config = Config(store=StoreSection(url=store.url), sampling=SamplingSection(rate=1.0))
    yield Settings(config, (SourceSection(files=f"{tmp_path}/*.jsonl*"),), clock, stream="j")
    presence.leave_all()


@pytest.fixture
def reader(settings: Settings) -> Iterator[Read]:
    reader = Read(settings)
    reader.setup()
    sources = reader.sources
    yield reader
    reader.sources = sources
    reader.teardown()


@pytest.fixture
def planned(settings: Settings) -> Iterator[tuple[Tick, Work]]:
    planner = Plan(settings)
    planner.setup()
    block, *_ = planner.process(Tick("j:1"))
    yield block
    planner.teardown()


def test_a_block_that_takes_longer_than_a_lease_stays_with_its_reader(
    store: Store, clock: ManualClock, reader: Read, planned: tuple[Tick, Work]
) -> None:
    others: list[int] = []

    def half_a_minute() -> None:
        for _ in range(3):
            clock.advance(LEASE - SECOND)
            reader.presence.renew()
        with store.write() as tx:
            claim = Claim("other", "s", [reader.presence.owner.name, "other"], clock.now(), clock.now() + LEASE)
            others.extend(taken.block.start for taken in ledger.claim_blocks(tx, claim, clock.now(), 9))

    reader.sources = Slow(reader.sources, half_a_minute)
    reader.process(planned)
    assert others == []
    with store.read() as tx:
        assert status(tx, clock.now())["blocks"] == {"planned": 0, "done": 1, "lost": 0}


def test_what_cannot_be_read_leaves_room_for_what_comes(
    store: Store, clock: ManualClock, settings: Settings, tmp_path: Path
) -> None:
    stream = msgspec.structs.replace(settings.config.stream, in_flight_blocks=8)
    settings = msgspec.structs.replace(settings, config=msgspec.structs.replace(settings.config, stream=stream))
    planner = Plan(settings)
    planner.setup()

    def look() -> list[Block]:
        planner.looked = -math.inf
        clock.advance(SECOND)
        return [work.block for _, work in planner.process(Tick(f"j:{clock.now()}")) if isinstance(work, Claimed)]

    def fail(blocks: list[Block]) -> None:
        with store.write() as tx:
            for block in blocks:
                ledger.release_block(tx, block, Claim(planner.presence.owner.name, "j", [], clock.now()), "silence")

    for name in "bcdefgh":
        (tmp_path / f"{name}.jsonl").write_bytes(line(request_id=name) + b"\n")
    first = look()
    assert len(first) == 8
    fail(first)
    again = look()
    assert (len(again), len(look())) == (2, 0), "as long as they are in hand"
    (tmp_path / "new.jsonl").write_bytes(line(request_id="new") + b"\n")
    assert [Path(block.path).name for block in look()] == ["new.jsonl"]
    tried = {block.path for block in again}
    while len(tried) < 8:
        fail(again)
        again = look()
        assert not tried.intersection(block.path for block in again), "each has its turn"
        tried.update(block.path for block in again)
    planner.teardown()


def test_a_block_that_its_reader_gave_up_is_renewed_no_more(
    store: Store, clock: ManualClock, reader: Read, planned: tuple[Tick, Work]
) -> None:
    def breaks() -> None:
        raise RuntimeError("the engine takes the bundle away")

    reader.sources = Slow(reader.sources, breaks)
    with pytest.raises(RuntimeError):
        reader.process(planned)
    clock.advance(LEASE - SECOND)
    reader.presence.renew()
    clock.advance(2 * SECOND)
    with store.write() as tx:
        claim = Claim("other", "s", [reader.presence.owner.name, "other"], clock.now(), clock.now() + LEASE)
        assert len(ledger.claim_blocks(tx, claim, clock.now(), 9)) == 1


def test_a_worker_can_leave_while_its_heartbeat_renews(
    store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "HEARTBEAT", 1)
    monkeypatch.setattr(presence, "_RENEW_SECONDS", 0.0)
    here = presence.Presence.here(store.url, "j", clock)
    renewing, leaving = threading.Event(), threading.Event()

    class Holds:
        """Is asked what it holds, and answers only once the worker is about to leave."""

        @property
        def held(self) -> dict[str, float]:
            renewing.set()
            leaving.wait()
            return {}

    def leave(left: Callable[[], None] = here.leave) -> None:
        leaving.set()
        left()

    monkeypatch.setattr(here, "leave", leave)
    holder = Holds()
    here.add(holder)
    assert renewing.wait(10)
    leaver = threading.Thread(target=presence.leave_all, daemon=True)
    leaver.start()
    leaver.join(20)
    assert not leaver.is_alive()
