"""A real broker: every record once, every loss on record, whatever happens to topics, partitions and the broker."""

import pytest
from confluent_kafka import Producer

from pipelines.sources.kafka_ranges import PATIENCE
from tests.sources.kafka_world import World, lines
from tests.support.ingest import work_off
from tests.support.kafka import until
from tidegauge.domain import DAY
from tidegauge.errors import SourceError
from tidegauge.service import retention
from tidegauge.storage import ledger


def test_ranges_are_in_the_ledger_before_they_are_read(either: World) -> None:
    topic = either.broker.topic(2)
    topic.send(*lines(0, 25))
    topic.send(*lines(25, 30), partition=1)
    source = either.source(topic)
    either.plan(source, offsets=10)
    first, second = f"{topic.name}/0", f"{topic.name}/1"
    expected = [(first, 0, 10), (first, 10, 20), (first, 20, 25), (second, 0, 5)]
    assert sorted(either.blocks()) == expected
    either.plan(source, offsets=10)
    assert sorted(either.blocks()) == expected
    assert work_off(source, either.store, either.clock) == []
    assert sorted(either.blocks("done")) == expected
    assert either.counts == (30, 0, 0)


def test_a_growing_topic_is_read_once(either: World) -> None:
    topic = either.broker.topic(3)
    source = either.source(topic)
    for n in range(0, 60, 12):
        for partition in range(3):
            topic.send(*lines(n + 4 * partition, n + 4 * partition + 4), partition=partition)
        assert either.look(source, offsets=3) == []
    assert either.counts == (60, 0, 0)
    assert source.behind(either.store) == []
    topic.send(*lines(60, 65), partition=2)
    assert [tuple(b) for b in source.behind(either.store)] == [(f"{topic.name}/2", 5, "offsets")]


def test_a_value_may_be_a_record_several_or_none_and_what_is_broken_has_a_place_of_its_own(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 1), b"\n".join(lines(1, 3)), b"", None, b"\n".join([*lines(3, 5), b""]))
    topic.send(b'{"request_id": "\xff"}', b"[1]\nno json\n", b"{}")
    assert world.look(world.source(topic)) == []
    assert world.counts == (5, 0, 4)
    assert world.rows("SELECT sum(records), sum(blanks) FROM blocks") == [(9, 2)]
    reasons = world.status["quarantine"]
    assert list(reasons.values()) == [{"invalid_utf8": 1, "malformed_json": 1, "missing_field": 1, "not_an_object": 1}]
    places = world.rows("SELECT start FROM quarantine ORDER BY start")
    assert [divmod(start, 1 << 24) for (start,) in places] == [(5, 0), (6, 0), (6, 4), (7, 0)]


def test_bad_lines_of_a_topic_go_after_their_time(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*[b"bad %d" % n for n in range(20)])
    source = world.source(topic)
    assert world.look(source, offsets=10) == []
    assert retention.prune(world.store, world.clock.now()).quarantined == 0
    world.clock.time += DAY
    topic.send(*lines(0, 5))
    assert world.look(source) == []
    assert retention.preview(world.store, world.clock.now()).quarantined == 20
    assert retention.prune(world.store, world.clock.now()).quarantined == 20
    assert world.rows("SELECT count(*), sum(length(raw)) FROM quarantine") == [(20, 0)]
    assert world.counts == (5, 0, 20)


def test_broken_records_of_neighbouring_blocks_do_not_meet(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*[b"nine byte"] * 30)  # a line begins at byte 10 of the first block, the next block at offset 10
    assert world.look(world.source(topic), offsets=10) == []
    assert world.counts == (0, 0, 30)


def test_what_no_transaction_has_finished_is_neither_planned_nor_read(world: World) -> None:
    topic, name = world.broker.topic(), {"bootstrap.servers": world.broker.bootstrap}
    producer = Producer({**name, "transactional.id": topic.name})
    producer.init_transactions(30)

    def begin_with(*values: bytes) -> None:
        producer.begin_transaction()
        for value in values:
            producer.produce(topic.name, value, partition=0)
        producer.flush(30)

    source = world.source(topic)
    begin_with(*lines(0, 5))
    assert world.look(source) == []
    assert world.blocks("done") == []
    producer.commit_transaction(30)
    begin_with(*lines(100, 105))
    producer.abort_transaction(30)
    begin_with(*lines(5, 10))
    topic.send(*lines(10, 12))
    until(lambda: not world.look(source) and world.blocks("done")[-1][2] == 12)  # ten records, two markers
    assert world.counts == (5, 0, 0)
    producer.commit_transaction(30)
    until(lambda: not world.look(source) and world.counts == (12, 0, 0))
    done = world.blocks("done")
    assert [stop for _, _, stop in done[:-1]] == [start for _, start, _ in done[1:]]
    assert done[-1][2] == 20  # 17 records, three markers


def test_compaction_leaves_fewer_records_than_offsets(world: World) -> None:
    topic = world.broker.topic(
        cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.001, max_compaction_lag_ms=1
    )
    for n in range(0, 40, 2):
        topic.send(*lines(n, n + 1), key=b"kept" + bytes([65 + n]))
        topic.send(*lines(n + 1, n + 2), key=b"again")
    source = world.source(topic)
    world.plan(source, offsets=8)

    def compacted() -> bool:
        topic.send(b"", key=b"last")
        return len([offset for offset in topic.offsets() if offset < 40]) <= 21

    until(compacted)
    left = [offset for offset in topic.offsets() if offset < 40]
    assert work_off(source, world.store, world.clock) == []
    assert [(start, stop) for _, start, stop in world.blocks("done")] == [(n, n + 8) for n in range(0, 40, 8)]
    assert world.counts == (len(left), 0, 0)


def test_what_retention_removes_before_it_is_read_is_lost_and_told(either: World) -> None:
    topic = either.broker.topic()
    topic.send(*lines(0, 30))
    source = either.source(topic)
    either.plan(source, offsets=10)
    topic.remove_before(15)
    errors = work_off(source, either.store, either.clock)
    assert len(errors) == 2
    assert all("offsets before 15 are gone" in error for error in errors)
    assert either.look(source, offsets=10) == []
    name = f"{topic.name}/0"
    assert either.blocks("lost") == [(name, 0, 10), (name, 10, 15)]
    assert either.blocks("done") == [(name, 15, 20), (name, 20, 30)]
    assert either.counts == (15, 0, 0)
    why = "retention removed it before it was read"
    assert either.tickets == [{"blocks": 2, "offsets": 15, "from": 0, "to": 15, "why": why}]


def test_what_retention_removes_before_it_is_planned_is_lost_and_told(either: World) -> None:
    topic = either.broker.topic()
    topic.send(*lines(0, 10))
    source = either.source(topic)
    assert either.look(source) == []
    topic.send(*lines(10, 40))
    topic.remove_before(25)
    assert either.look(source) == []
    assert either.blocks("lost") == [(f"{topic.name}/0", 10, 25)]
    assert either.counts == (25, 0, 0)
    assert [ticket["offsets"] for ticket in either.tickets] == [15]


def test_what_somebody_is_reading_is_not_taken_for_lost(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 10))
    source = world.source(topic)
    world.plan(source)
    owner = ledger.Owner.this_process(world.clock.now())
    with world.store.write() as tx:
        ledger.beat(tx, owner, world.clock.now())
        claim = ledger.Claim(owner.name, "s", [owner.name], world.clock.now())
        assert len(ledger.claim_blocks(tx, claim, world.clock.now(), 10)) == 1
    topic.remove_before(10)
    world.plan(source)
    assert world.blocks("lost") == []
    with world.store.write() as tx:
        ledger.leave(tx, owner)
    world.plan(source)
    assert world.blocks("lost") == [(f"{topic.name}/0", 0, 10)]


def test_a_topic_that_is_made_anew_is_read_from_its_begin(either: World) -> None:
    topic = either.broker.topic()
    topic.send(*lines(0, 20))
    source = either.source(topic)
    assert either.look(source) == []
    topic.send(*lines(20, 30))
    either.plan(source, offsets=5)
    topic.delete()
    topic.create()
    topic.send(*lines(100, 140))
    errors = work_off(source, either.store, either.clock)
    assert len(errors) == 2
    assert all("was deleted and made anew" in error for error in errors)
    assert either.counts == (20, 0, 0)
    assert either.look(source) == []
    name = f"{topic.name}/0"
    assert either.blocks("lost") == [(name, 20, 25), (name, 25, 30)]
    assert either.counts == (60, 0, 0)
    assert [ticket["why"] for ticket in either.tickets] == ["the topic was deleted and made anew"]


def test_a_topic_that_is_made_anew_while_it_is_read_is_not_taken_for_the_old_one(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 20))
    source = world.source(topic)
    world.plan(source)
    with world.store.write() as tx:
        claim = ledger.Claim("me", "s", ["me"], world.clock.now())
        [work] = ledger.claim_blocks(tx, claim, world.clock.now(), 1)
    reads = source.read(work)
    assert next(reads)
    topic.delete()
    topic.create()
    topic.send(*lines(100, 120))
    with pytest.raises(SourceError, match="made anew"):
        list(reads)


def test_a_topic_that_is_gone_is_told_after_a_while_and_goes_on_where_it_was(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 20))
    source = world.source(topic)
    world.plan(source)
    topic.delete()
    assert ["there is no such topic" in error for error in world.look(source)] == [True]
    world.clock.time += PATIENCE
    world.plan(source)
    assert world.blocks("lost") == [(f"{topic.name}/0", 0, 20)]
    assert [ticket["why"] for ticket in world.tickets] == ["the topic is gone"]


def test_new_partitions_and_new_topics_of_a_pattern_are_taken_in(world: World) -> None:
    one = world.broker.topic(name="pattern-one")
    world.broker.topic(name="other-topic").send(*lines(900, 910))
    one.send(*lines(0, 5))
    source = world.source("^pattern-.*", group="pattern")
    assert world.look(source) == []
    one.grow(2)
    one.send(*lines(5, 10), partition=1)
    two = world.broker.topic(name="pattern-two")
    two.send(*lines(10, 15))
    assert world.look(source) == []
    assert sorted(path for path, _, _ in world.blocks("done")) == ["pattern-one/0", "pattern-one/1", "pattern-two/0"]
    assert world.counts == (15, 0, 0)


def test_latest_begins_at_the_end_but_misses_nothing_from_then_on(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 5))
    source = world.source(topic, start="latest")
    assert world.look(source) == []
    assert world.counts == (0, 0, 0)
    topic.send(*lines(5, 8))
    topic.grow(2)
    topic.send(*lines(8, 10), partition=1)
    assert world.look(source) == []
    assert world.counts == (5, 0, 0)
