"""Which steps bring the ledger up to what a cluster has now. Pure: from what is known and what is there to steps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipelines.sources.kafka_client import Partition, Sight
from tidegauge.domain import HOUR, Micros
from tidegauge.errors import SourceError
from tidegauge.storage.ledger import Generation

PATIENCE = HOUR
"""How long a topic must be gone, or a partition shorter than what was planned of it, to be believed: a new leader may
know less for a while, and without the right to see a topic there seems to be none."""

_MISSING, _SHORTER, UNSEEN = "missing", "shorter", "unseen"
_OVERTAKEN = "retention removed it before it was read"


class Begin(NamedTuple):
    """Follow a partition that was not known, from an offset on."""

    partition: Partition
    start: int
    cuts: list[int]


class Await(NamedTuple):
    """Remember a partition that was there when its topic was begun, and could not be seen."""

    path: str


class Extend(NamedTuple):
    """Plan what came since."""

    generation: Generation
    cuts: list[int]


class Lose(NamedTuple):
    """Give up what is planned and not read before an offset; all of it where none is given."""

    generation: Generation
    reason: str
    before: int | None = None


class Retire(NamedTuple):
    """Follow a generation no more."""

    generation: Generation
    reason: str


class Note(NamedTuple):
    """Remember since when something is wrong with a generation, or that nothing is any more."""

    generation: Generation


Step = Begin | Await | Extend | Lose | Retire | Note


def cut(start: int, first: int, stop: int, most: int) -> list[int]:
    """Ends of the blocks in [start, stop), of at most so many offsets each. What is gone before `first` is one."""
    gap = [first] if start < first else []
    begin = max(start, first)
    return [*gap, *range(begin + most, stop, most), *([stop] if begin < stop else [])]


class Ledger(NamedTuple):
    """What is known: the generations of a source, and where the first open block of each begins, if there is one."""

    generations: Sequence[Generation]
    open_at: Mapping[str, int]


def steps(ledger: Ledger, sight: Sight, latest: bool, most: int, now: Micros) -> Iterator[Step]:
    """What to do, in this order. Raises SourceError for a cluster that is not the one that was planned from."""
    there = {partition.path: partition for partition in sight.partitions}
    known = {generation.path: generation for generation in ledger.generations}
    topics = {topic_of(path) for path in known}
    for path, generation in known.items():
        partition = there.get(path)
        if partition is not None and generation.inode == UNSEEN:
            yield Retire(generation, "the partition can be seen")
            yield _begin(partition, latest, most)
        elif partition is not None:
            yield from _follow(generation, partition, ledger.open_at.get(generation.generation), sight, most, now)
        elif path not in sight.dark and topic_of(path) not in sight.dark:
            yield from _miss(generation, ledger.open_at.get(generation.generation), now)
    for path, partition in there.items():
        if path not in known:
            # Partitions are added, and topics made anew, with nothing in them: what is there came after we looked.
            yield _begin(partition, latest and partition.topic not in topics, most)
    begun = {partition.topic for partition in there.values()} - topics
    for path in sight.dark if latest else ():
        if topic_of(path) in begun and path not in known:
            yield Await(path)  # or it would be taken for one that is added later


def _begin(partition: Partition, at_end: bool, most: int) -> Begin:
    start = partition.stable if at_end else partition.first
    return Begin(partition, start, cut(start, partition.first, partition.stable, most))


def topic_of(path: str) -> str:
    """The topic in TOPIC/PARTITION."""
    return path.rpartition("/")[0]


def number_of(path: str) -> int:
    """The partition in TOPIC/PARTITION."""
    return int(path.rpartition("/")[2])


def _follow(
    generation: Generation, partition: Partition, open_at: int | None, sight: Sight, most: int, now: Micros
) -> Iterator[Step]:
    was = generation.identity.prefix_hash
    if was and partition.topic_id and was != partition.topic_id:
        if generation.identity.tail_hash != sight.cluster:
            raise SourceError(f"{partition.topic}: was planned from another cluster; give this source another group")
        yield Retire(generation, "the topic was deleted and made anew")
        yield Begin(partition, partition.first, cut(partition.first, partition.first, partition.stable, most))
        return
    planned_to = generation.identity.planned_to
    if partition.stable < planned_to:
        yield from _wait(generation, partition, most, now)
        return
    if generation.inode:
        yield Note(msgspec.structs.replace(generation, inode=""))
    cuts = cut(planned_to, partition.first, partition.stable, most)
    if cuts:
        yield Extend(generation, cuts)
    if (planned_to if open_at is None else open_at) < partition.first:
        yield Lose(generation, _OVERTAKEN, partition.first)


def _wait(generation: Generation, partition: Partition, most: int, now: Micros) -> Iterator[Step]:
    """A partition that stays shorter than what was planned of it lost its end; where it was cut, nobody can tell."""
    if generation.inode != _SHORTER:
        yield Note(msgspec.structs.replace(generation, inode=_SHORTER, unchanged_since=now))
    elif now - generation.unchanged_since >= PATIENCE:
        yield Retire(generation, "the partition lost its end")
        start = partition.stable if partition.topic_id else partition.first
        yield Begin(partition, start, cut(start, partition.first, partition.stable, most))


def _miss(generation: Generation, open_at: int | None, now: Micros) -> Iterator[Step]:
    """It may come back, and then goes on where it was; what was planned is not waited for without end."""
    if generation.inode == UNSEEN:
        yield Retire(generation, "the topic is gone")
    elif generation.inode != _MISSING:
        yield Note(msgspec.structs.replace(generation, inode=_MISSING, unchanged_since=now))
    elif open_at is not None and now - generation.unchanged_since >= PATIENCE:
        yield Lose(generation, "the topic is gone")
