"""The planner as a function: every offset in exactly one range, whatever is appended, removed, read or made anew."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipelines.sources import kafka_ranges
from pipelines.sources.kafka_client import Partition, Sight
from pipelines.sources.kafka_planner import KafkaPlanner
from pipelines.sources.kafka_ranges import (
    PATIENCE,
    UNSEEN,
    Await,
    Begin,
    Extend,
    Ledger,
    Lose,
    Note,
    Retire,
    cut,
    steps,
)
from tests.support.ingest import Now
from tidegauge.domain import Encoding
from tidegauge.errors import SourceError
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.store import Store


@given(st.integers(0, 500), st.integers(0, 600), st.integers(0, 600), st.integers(1, 50))
def test_ranges_cover_what_is_there_and_what_is_gone(start: int, first: int, more: int, most: int) -> None:
    stop = max(start, first) + more
    ends = cut(start, first, stop, most)
    starts = [start, *ends[:-1]]
    ranges = list(zip(starts, ends, strict=False)) if ends else []
    assert [offset for begin, end in ranges for offset in range(begin, end)] == list(range(start, stop))
    assert all(end > begin and (end - begin <= most or end == first) for begin, end in ranges)
    assert all(end <= first or begin >= first for begin, end in ranges)


def generation(path: str = "t/0", planned_to: int = 10, **changes: object) -> Generation:
    identity = Identity(prefix_hash="id", planned_to=planned_to, tail_hash="cluster")
    whole = Generation("g", "kafka:test", path, Encoding.KAFKA, "", identity, 0, 0, "live")
    return msgspec.structs.replace(whole, **changes)


def seen(*partitions: Partition, cluster: str = "cluster", **dark: str) -> Sight:
    return Sight(cluster, list(partitions), dark)


def todo(
    known: list[Generation], sight: Sight, *, open_at: int | None = None, latest: bool = False, now: int = 0
) -> list[kafka_ranges.Step]:
    opened = {} if open_at is None else {"g": open_at}
    return list(steps(Ledger(known, opened), sight, latest, 1000, now))


def test_an_unknown_topic_is_begun_where_the_source_says() -> None:
    there = Partition("t", 0, "id", 5, 20)
    assert todo([], seen(there)) == [Begin(there, 5, [20])]
    assert todo([], seen(there), latest=True) == [Begin(there, 20, [])]


def test_a_partition_that_is_added_later_is_read_from_its_begin() -> None:
    there = Partition("t", 1, "id", 0, 20)
    assert todo([generation()], seen(Partition("t", 0, "id", 0, 10), there), latest=True) == [Begin(there, 0, [20])]


def test_a_topic_is_begun_at_its_end_also_where_it_is_seen_only_later() -> None:
    one, two = Partition("t", 0, "id", 0, 20), Partition("t", 1, "id", 0, 30)
    other = Partition("t2", 0, "id", 0, 5)
    half = seen(one, other, **{"t/1": "no leader"})
    assert todo([], half, latest=True) == [Begin(one, 20, []), Begin(other, 5, []), Await("t/1")]
    assert todo([], half) == [Begin(one, 0, [20]), Begin(other, 0, [5])], "what is added is read from its begin anyway"
    awaited = generation("t/1", 0, inode=UNSEEN)
    known = [generation("t/0", 20), generation("t2/0", 5), awaited]
    assert todo(known, half, latest=True) == []
    whole = seen(one, two, other)
    assert todo(known, whole, latest=True) == [Retire(awaited, "the partition can be seen"), Begin(two, 30, [])]
    assert todo([awaited], seen(), latest=True) == [Retire(awaited, "the topic is gone")]


@pytest.mark.parametrize("latest", [False, True])
def test_a_partition_without_a_leader_keeps_no_other_one_of_a_new_topic(store: Store, latest: bool) -> None:
    clock = Now()

    def look(sight: Sight) -> dict[str, tuple[int, int]]:
        with store.read() as tx:
            known = ledger.generations(tx, "s")
        KafkaPlanner(store, clock, "s", 1000, latest).plan(Ledger(known, {}), sight)
        with store.read() as tx:
            found = ledger.generations(tx, "s")
            return {g.path: (g.identity.planned_to, len(ledger.open_blocks(tx, g.generation))) for g in found}

    one, two = Partition("t", 0, "id", 0, 20), Partition("t", 1, "id", 0, 30)
    look(seen(one, **{"t/1": "no leader"}))
    later = look(seen(one._replace(stable=25), **{"t/1": "no leader"}))
    assert later["t/0"] == (25, 1 if latest else 2)
    found = look(seen(one._replace(stable=25), two))
    assert found["t/1"] == (30, 0 if latest else 1)
    assert look(seen(one._replace(stable=25), two._replace(stable=31)))["t/1"] == (31, 1 if latest else 2)


def test_a_partition_that_is_added_while_another_is_dark_is_read_from_its_begin() -> None:
    there = Partition("t", 1, "id", 0, 20)
    assert todo([generation()], seen(there, **{"t/0": "no leader"}), latest=True) == [Begin(there, 0, [20])]


def test_a_topic_that_was_made_anew_is_another_generation() -> None:
    there = Partition("t", 0, "other", 0, 3)
    old = generation()
    assert todo([old], seen(there), latest=True) == [
        Retire(old, "the topic was deleted and made anew"),
        Begin(there, 0, [3]),
    ]


def test_another_cluster_is_refused() -> None:
    with pytest.raises(SourceError, match="give this source another group"):
        todo([generation()], seen(Partition("t", 0, "other", 0, 3), cluster="elsewhere"))


def test_what_retention_removed_is_lost_where_it_was_not_read() -> None:
    there, known = Partition("t", 0, "id", 15, 20), generation()
    assert todo([known], seen(there)) == [
        Extend(known, [15, 20]),
        Lose(known, "retention removed it before it was read", 15),
    ]
    half = Partition("t", 0, "id", 7, 10)
    assert todo([known], seen(half), open_at=5) == [Lose(known, "retention removed it before it was read", 7)]
    assert todo([known], seen(half), open_at=7) == []


def test_a_topic_that_is_gone_is_waited_for_a_while() -> None:
    known = generation()
    [note] = todo([known], seen(), open_at=3, now=50)
    assert isinstance(note, Note)
    missing = note.generation
    assert todo([missing], seen(), open_at=3, now=49 + PATIENCE) == []
    assert todo([missing], seen(), open_at=3, now=50 + PATIENCE) == [Lose(missing, "the topic is gone")]
    assert todo([missing], seen(), now=50 + PATIENCE) == []
    back = msgspec.structs.replace(missing, inode="")
    assert todo([missing], seen(Partition("t", 0, "id", 0, 12)), now=51 + PATIENCE) == [
        Note(back),
        Extend(missing, [12]),
    ]


def test_what_could_not_be_seen_is_not_gone() -> None:
    assert todo([generation()], Sight("cluster", [], {"t/0": "no leader"})) == []
    assert todo([generation()], Sight("cluster", [], {"t": "not authorized"})) == []


def test_a_partition_that_stays_shorter_begins_again_at_its_end() -> None:
    shorter, known = Partition("t", 0, "id", 0, 4), generation()
    [note] = todo([known], seen(shorter), now=50)
    assert isinstance(note, Note)
    assert todo([note.generation], seen(shorter), now=49 + PATIENCE) == []
    assert todo([note.generation], seen(shorter), now=50 + PATIENCE) == [
        Retire(note.generation, "the partition lost its end"),
        Begin(shorter, 4, []),
    ]


class Life(RuleBasedStateMachine):
    """A partition that grows, is cut and made anew, a planner, and readers that take blocks in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.topic_id, self.first, self.stable = "0", 0, 0
        self.known: list[Generation] = []
        self.blocks: dict[tuple[str, int], tuple[int, str]] = {}
        self.begins: dict[str, int] = {}

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        self.stable += count

    @rule(share=st.floats(0, 1))
    def remove(self, share: float) -> None:
        self.first += round(share * (self.stable - self.first))

    @rule()
    def make_anew(self) -> None:
        self.topic_id, self.first, self.stable = str(int(self.topic_id) + 1), 0, 0

    @precondition(lambda self: self.planned())
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.planned()))
        if key[0] == self.topic_id and key[1] >= self.first:
            self.blocks[key] = (self.blocks[key][0], "done")

    @rule(most=st.integers(1, 16))
    def look(self, most: int) -> None:
        for step in self.steps(most):
            self.take(step)
        assert self.steps(most) == [], "one look is enough"

    def steps(self, most: int) -> list[kafka_ranges.Step]:
        starts = {g: min(s for h, s in self.planned() if h == g) for g in {key[0] for key in self.planned()}}
        sight = Sight("cluster", [Partition("t", 0, self.topic_id, self.first, self.stable)], {})
        return list(steps(Ledger(self.known, starts), sight, False, most, 0))

    def planned(self) -> list[tuple[str, int]]:
        return sorted(key for key, (_, state) in self.blocks.items() if state == "planned")

    def take(self, step: kafka_ranges.Step) -> None:
        match step:
            case Begin(partition, start, cuts):
                identity = Identity(prefix_hash=partition.topic_id, planned_to=start, tail_hash="cluster")
                self.begins[partition.topic_id] = start
                self.known = [generation(generation=partition.topic_id, identity=identity)]
                self.extend(cuts)
            case Extend(_, cuts):
                self.extend(cuts)
            case Retire(known, _):
                self.lose(known.generation, 1 << 60)
                self.known = []
            case Lose(known, _, int(before)):
                self.lose(known.generation, before)

    def extend(self, cuts: list[int]) -> None:
        known = self.known[0]
        for start, stop in zip([known.identity.planned_to, *cuts[:-1]], cuts, strict=False):
            assert (known.generation, start) not in self.blocks
            self.blocks[known.generation, start] = (stop, "planned")
        if cuts:
            identity = msgspec.structs.replace(known.identity, planned_to=cuts[-1])
            self.known = [msgspec.structs.replace(known, identity=identity)]

    def lose(self, name: str, before: int) -> None:
        for key in [key for key in self.planned() if key[0] == name and key[1] < before]:
            stop = self.blocks[key][0]
            self.blocks[key] = (min(stop, before), "lost")
            if stop > before:
                self.blocks[name, before] = (stop, "planned")

    @invariant()
    def every_offset_is_in_one_range(self) -> None:
        for known in self.known:
            name, at = known.generation, self.begins[known.generation]
            for (_, start), (stop, _) in sorted(b for b in self.blocks.items() if b[0][0] == name):
                assert start == at
                at = stop
            assert at == known.identity.planned_to


TestLife = Life.TestCase
