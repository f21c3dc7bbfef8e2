"""What a source of requests must be able to do. Which ranges are planned, done or lost is in the ledger alone."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from tidegauge.domain import Block, Clock, Micros
from tidegauge.storage.ledger import Claimed
from tidegauge.storage.store import Store


class Planning(NamedTuple):
    """How ranges are cut. `final`: no more will be written, so that unfinished ends are taken as they are."""

    block_bytes: int
    final: bool = False
    sources: frozenset[str] = frozenset()
    """Names of all sources of the job."""


class Behind(NamedTuple):
    """What of a source lies behind the last planned range, in its own unit: bytes of a file, offsets of a partition."""

    place: str
    amount: int
    unit: str


class Source(Protocol):
    """Where requests come from: files by glob, topics of a broker."""

    @property
    def name(self) -> str:
        """What the ledger calls it; stays the same for as long as its ranges are to be continued."""

    def plan(self, store: Store, clock: Clock, planning: Planning) -> None:
        """Puts ranges that are new into the ledger. Raises SourceError when the source cannot be looked at."""

    def read(self, claimed: Claimed) -> Iterator[bytes]:
        """A planned range as JSON lines, in small reads.

        Raises SourceChanged when it is not what was planned, SourceUnfinished when its end is not there yet,
        SourceError when it cannot be read now.
        """

    def place(self, block: Block, start: int) -> int:
        """Where in its generation the line lies that began at byte `start` of what was read last; of no other line of
        the block.
        """

    def at_rest(self, block: Block, now: Micros) -> bool:
        """Whether an unfinished end of the block will hardly be finished any more."""

    def behind(self, store: Store) -> list[Behind]:
        """What is there and not planned yet."""

    def close(self) -> None:
        """Gives back connections."""
