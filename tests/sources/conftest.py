"""One broker for all tests here, each of which makes topics of its own, and stores to read them into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import engines, free_ports
from tests.sources.kafka_world import World
from tests.support.kafka import Broker
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(engines("kafka/lib"), free_ports(3), tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def world(broker: Broker, tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store)
    world = World(store, broker)
    yield world
    world.close()
    store.close()


@pytest.fixture
def either(store: Store, broker: Broker) -> Iterator[World]:
    """The same on both databases."""
    world = World(store, broker)
    yield world
    world.close()
