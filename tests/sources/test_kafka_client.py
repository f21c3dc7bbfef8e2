"""What the client of a Kafka cluster is told, and what it does when nobody answers."""

import json
import logging
import time
from typing import Any

import psutil
import pytest

from pipelines.sources import kafka_client
from pipelines.sources.kafka_source import KafkaSource
from tests.sources.kafka_world import World, lines
from tests.support.ingest import claimed, work_off
from tests.support.kafka import PASSWORD, USER, committed, until
from tests.support.logs import line
from tidegauge.config_sources import SourceSection
from tidegauge.errors import ConfigError, SourceError
from tidegauge.storage import ledger


def test_another_cluster_is_refused(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 5))
    source = world.source(topic)
    world.plan(source)
    world.rows("UPDATE generations SET tail_hash = 'elsewhere', prefix_hash = 'another'")
    with pytest.raises(SourceError, match="give this source another group"):
        world.plan(source)


def test_headers_fill_fields_that_a_record_lacks(world: World) -> None:
    topic = world.broker.topic()
    bare = json.loads(line(request_id="r-1"))
    bare.pop("tenant")
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    topic.send(json.dumps(bare).encode(), line(request_id="r-2"), headers={"tenant": b"umbra", "traceparent": trace})
    source = world.source(topic, headers={"tenant": "tenant", "trace_id": "traceparent"})
    assert world.look(source) == []
    kept = world.rows("SELECT tenant, payload FROM samples ORDER BY request_id")
    assert [tenant for tenant, _ in kept] == ["umbra", "acme"]
    assert {json.loads(payload)["trace_id"] for _, payload in kept} == {"4bf92f3577b34da6a3ce929d0e0e4736"}


def test_the_group_says_what_is_done_and_nobody_believes_it(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 30))
    source = world.source(topic)
    group = (world.broker.bootstrap, topic.name, topic.name, [0])
    world.plan(source, offsets=10)
    world.plan(source, offsets=10)
    assert committed(*group) == {0: 0}
    with world.store.write() as tx:
        claim = ledger.Claim("me", "s", ["me"], world.clock.now())
        ledger.claim_blocks(tx, claim, world.clock.now(), 1)
    work_off(source, world.store, world.clock)  # the last two blocks; the first one is in other hands
    world.plan(source)
    assert committed(*group)[0] in (0, 10)
    world.rows("UPDATE blocks SET owner = NULL")
    work_off(source, world.store, world.clock)
    source.close()
    assert committed(*group) == {0: 30}
    again = world.source(topic)
    again._cluster.commit({(topic.name, 0): 3})
    assert world.look(again) == []
    assert world.counts == (30, 0, 0)


def test_settings_and_secrets_reach_the_client(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 5))
    keys: dict[str, Any] = {
        "kafka": world.broker.secure,
        "config": {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "ssl.ca.location": str(world.broker.certificate),
        },
        "config_env": {"sasl.username": "TEST_KAFKA_USER", "sasl.password": "TEST_KAFKA_PASSWORD"},
    }
    source = world.source(topic, **keys)
    with pytest.raises(SourceError, match="TEST_KAFKA_PASSWORD, TEST_KAFKA_USER: not set in the environment"):
        world.plan(source)
    monkeypatch.setenv("TEST_KAFKA_USER", USER)
    monkeypatch.setenv("TEST_KAFKA_PASSWORD", PASSWORD)
    assert world.look(source) == []
    assert world.counts == (5, 0, 0)
    monkeypatch.setenv("TEST_KAFKA_PASSWORD", "wrong")
    with pytest.raises(SourceError):
        world.plan(world.source(topic, **keys))


def test_a_setting_that_the_client_does_not_know_is_a_configuration_error() -> None:
    section = SourceSection(kafka="127.0.0.1:1", topics="t", config={"fetch.wiat.max.ms": 5})
    with pytest.raises(ConfigError, match=r"fetch\.wiat\.max\.ms"):
        kafka_client.check(section, {})
    kafka_client.check(SourceSection(kafka="127.0.0.1:1", topics="t", config={"fetch.wait.max.ms": 5}), {})


def test_a_broker_that_is_down_costs_lag_and_nothing_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    topic, long = world.broker.topic(), world.broker.topic()
    topic.send(*lines(0, 20))
    long.send(*(line(request_id=f"r-{n}", question="?" * 4000) for n in range(20_000)))
    slow = world.source(long, config={"queued.max.messages.kbytes": 1024, "fetch.message.max.bytes": 100_000})
    world.plan(slow, offsets=20_000)
    [work] = claimed(world.store, world.clock)
    reads = slow.read(work)
    found = next(reads)
    source = world.source(topic)
    world.plan(source, offsets=5)
    world.broker.kill()
    try:
        with caplog.at_level(logging.WARNING):
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(SourceError):
                    world.plan(source)
            assert len(work_off(source, world.store, world.clock)) == 4
            assert time.monotonic() - began < 3 * kafka_client.ANSWER_SECONDS
        assert len([record for record in caplog.records if record.name == "tidegauge.kafka"]) < 8
    finally:
        world.broker.start()
    found += b"".join(reads)  # a block that was being read meanwhile
    assert found.count(b"\n") == 20_000
    topic.send(*lines(20, 30))
    until(lambda: plans(world, source))
    assert world.look(source) == []
    assert world.counts == (30, 0, 0)


def plans(world: World, source: KafkaSource) -> bool:
    try:
        world.plan(source)
    except SourceError:
        return False
    return True


def test_nothing_is_left_running_after_close(world: World) -> None:
    topic = world.broker.topic()
    topic.send(*lines(0, 5))
    source = world.source(topic)
    process = psutil.Process()
    before = process.num_threads()
    assert world.look(source) == []
    assert process.num_threads() > before
    source.close()
    until(lambda: process.num_threads() <= before)
