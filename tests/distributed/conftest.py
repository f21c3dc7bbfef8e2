"""Real engines for all tests here: a Kafka broker, a Flink cluster of two task managers, PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import drop_schema, postgresql_url
from tests.distributed.streaming import KEY
from tests.engines import engines, free_ports
from tidegauge.engine.flink import Flink, Ports
from tidegauge.engine.kafka import Kafka


@pytest.fixture(scope="session", autouse=True)
def _one_key() -> Iterator[None]:
    """Also for the workers of Flink's pool, which have this environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEGAUGE_SAMPLING_KEY", KEY)
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        yield


@pytest.fixture(scope="session")
def prism() -> dict[str, str]:
    """What `stream.prism` says."""
    return {"location": str(engines("prism") / "prism")}


@pytest.fixture(scope="package")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    directory = engines("kafka/lib")
    broker = Kafka(directory, free_ports(2), tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="package")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    directory = engines("flink/lib")
    cluster = Flink(directory, 2, Ports.after(free_ports(len(Ports()))), tmp_path_factory.mktemp("flink"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def postgresql() -> Iterator[str]:
    url = postgresql_url()
    yield url
    drop_schema(url)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")
