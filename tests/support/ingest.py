"""Plans, scans and commits as the job does, in the test's own thread and without Beam."""

from collections.abc import Iterator
from itertools import count

from pipelines.sampling import Sampler
from pipelines.scan import Scanner
from pipelines.sources.file_source import FileSource
from pipelines.sources.source import Planning, Source
from tests.support.logs import NOON
from tidegauge.errors import SourceError
from tidegauge.prices import Prices
from tidegauge.storage import commits, ledger, sampling
from tidegauge.storage.ledger import Claim, Claimed
from tidegauge.storage.store import Store

KEY = b"test key"
_sweeps = count()


class Now:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = NOON) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


def begin(store: Store, rate: float = 1.0) -> None:
    """The first plan row, with a fixed key."""
    with store.write() as tx:
        if not sampling.plans(tx):
            sampling.add_plan(tx, sampling.BEGINNING, rate, "", "", "", "test", 0)


def claimed(store: Store, clock: Now, owner: str = "me") -> list[Claimed]:
    with store.write() as tx:
        return ledger.claim_blocks(tx, Claim(owner, f"s{next(_sweeps)}", [owner], clock.now()), clock.now(), 10_000)


def ingest(
    store: Store, source: str, clock: Now, *, block_bytes: int = 1 << 20, final: bool = False, rate: float = 1.0
) -> Iterator[str]:
    """One look at files; the errors of blocks that could not be read."""
    return ingest_from(FileSource(source), store, clock, block_bytes=block_bytes, final=final, rate=rate)


def ingest_from(
    source: Source, store: Store, clock: Now, *, block_bytes: int = 1 << 20, final: bool = False, rate: float = 1.0
) -> Iterator[str]:
    """One look at a source; the errors of blocks that could not be read."""
    begin(store, rate)
    source.plan(store, clock, Planning(block_bytes, final))
    return iter(work_off(source, store, clock))


def work_off(source: Source, store: Store, clock: Now) -> list[str]:
    """Reads and commits what is planned; the errors of blocks that could not be read."""
    scanner = Scanner(Prices(()))
    errors = []
    for work in claimed(store, clock):
        with store.read() as tx:
            sampler = Sampler(sampling.plans(tx), KEY)
        try:
            result = scanner.scan(source.read(work), work.block.planned_at, sampler)
        except SourceError as error:
            errors.append(str(error))
            with store.write() as tx:
                ledger.release_changed_block(tx, work.block, Claim("me", "", [], clock.now()), str(error))
            continue
        placed = [line._replace(start=source.place(work.block, line.start)) for line in result.quarantined]
        with store.write() as tx:
            claim = Claim("me", "", [], clock.now())
            commits.commit_block(tx, work.block, result._replace(quarantined=placed), claim, clock.now())
    return errors
