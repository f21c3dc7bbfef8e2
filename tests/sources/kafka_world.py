"""Kafka sources of one store, and what came of them."""

from typing import Any

import sqlalchemy as sa

from pipelines.sources.kafka_source import KafkaSource
from pipelines.sources.source import Planning
from tests.support.ingest import Now, begin, ingest_from
from tests.support.kafka import Broker, Topic
from tests.support.logs import line
from tidegauge.config_sources import SourceSection
from tidegauge.service.tickets import ticket_rows
from tidegauge.storage.status import status
from tidegauge.storage.store import Store


def lines(first: int, last: int) -> list[bytes]:
    return [line(request_id=f"r-{n}") for n in range(first, last)]


class World:
    """Sources of one store, and what came of them."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self.store = store
        self.broker = broker
        self.clock = Now()
        self._open: list[KafkaSource] = []
        begin(store)

    def source(self, topic: Topic | str, **keys: Any) -> KafkaSource:
        name = topic if isinstance(topic, str) else topic.name
        keys = {"kafka": self.broker.bootstrap, "topics": name, "group": name, "record_bytes": 100} | keys
        self._open.append(KafkaSource(SourceSection(**keys)))
        return self._open[-1]

    def plan(self, source: KafkaSource, offsets: int = 1000) -> None:
        """Blocks of at most so many offsets."""
        source.plan(self.store, self.clock, Planning(100 * offsets))

    def look(self, source: KafkaSource, offsets: int = 1000) -> list[str]:
        return list(ingest_from(source, self.store, self.clock, block_bytes=100 * offsets))

    def blocks(self, state: str = "planned") -> list[tuple[str, int, int]]:
        return self.rows(
            "SELECT path, start, stop FROM blocks b JOIN generations g ON g.generation = b.generation"
            f" WHERE b.state = '{state}' ORDER BY created_at, path, start"
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(self.store.url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            found = connection.exec_driver_sql(query)
            rows = [tuple(row) for row in found.all()] if found.returns_rows else []
        engine.dispose()
        return rows

    @property
    def status(self) -> dict[str, Any]:
        with self.store.read() as tx:
            found = status(tx, self.clock.now())
        assert found["seen"] == found["quarantined"] + found["unsampled"] + found["sampled"] + found["repeats"]
        return found

    @property
    def counts(self) -> tuple[int, int, int]:
        """Samples, repeats, quarantined."""
        found = self.status
        return found["sampled"], found["repeats"], found["quarantined"]

    @property
    def tickets(self) -> list[dict[str, Any]]:
        with self.store.read() as tx:
            return [ticket["evidence"] for ticket in ticket_rows(tx) if ticket["kind"] == "source_lost"]

    def close(self) -> None:
        for source in self._open:
            source.close()
