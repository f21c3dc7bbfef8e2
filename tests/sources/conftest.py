"""One broker for all tests here; each makes topics of its own."""

from collections.abc import Iterator

import pytest

from tests.engines import engines, free_ports
from tests.support.kafka import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(engines("kafka/lib"), free_ports(3), tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()
