"""Topics of a Kafka cluster as a source."""

from collections.abc import Iterator
from contextlib import suppress

from pipelines.sources.kafka_client import Cluster
from pipelines.sources.kafka_planner import KafkaPlanner
from pipelines.sources.kafka_ranges import UNSEEN, Ledger, number_of, topic_of
from pipelines.sources.kafka_reader import KafkaReader
from pipelines.sources.source import Behind, Planning
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Block, Clock, Micros
from tidegauge.errors import SourceError, TidegaugeError
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Claimed
from tidegauge.storage.store import Store


class KafkaSource:
    """Partitions of topics by name or pattern; the ledger, not the consumer group, knows what was read of them."""

    def __init__(self, section: SourceSection) -> None:
        self.name = f"kafka:{section.group}"
        self._section = section
        self._cluster = Cluster(section)
        self._reader = KafkaReader(section, self._cluster)
        self._planned_in: Store | None = None
        self._seen: frozenset[str] = frozenset()

    def plan(self, store: Store, clock: Clock, planning: Planning) -> None:
        sight = self._cluster.look()
        self._planned_in, self._seen = store, frozenset(partition.path for partition in sight.partitions)
        known = self._known(store)
        self._commit(known)
        most = max(1, planning.block_bytes // self._section.record_bytes)
        KafkaPlanner(store, clock, self.name, most, self._section.start == "latest").plan(known, sight)
        if sight.dark:
            raise SourceError("; ".join(f"{path}: {why}" for path, why in sorted(sight.dark.items())[:3]))

    def read(self, claimed: Claimed) -> Iterator[bytes]:
        return self._reader.read(claimed)

    def place(self, block: Block, start: int) -> int:
        del block
        return self._reader.index.place(start)

    def at_rest(self, block: Block, now: Micros) -> bool:
        del block, now
        return False  # a range has its end before it is planned

    def behind(self, store: Store) -> list[Behind]:
        planned = {g.path: g.identity.planned_to for g in self._known(store).generations}
        gaps = {p.path: p.stable - planned.get(p.path, p.first) for p in self._cluster.look().partitions}
        return [Behind(path, amount, "offsets") for path, amount in gaps.items() if amount > 0]

    def close(self) -> None:
        """Also says in the consumer group what was done since the last look."""
        if self._planned_in is not None:
            with suppress(TidegaugeError):
                self._commit(self._known(self._planned_in))
        self._reader.close()
        self._cluster.close()

    def _known(self, store: Store) -> Ledger:
        with store.read() as tx:
            known = ledger.generations(tx, self.name)
            return Ledger([g for g in known if self._cluster.matches(topic_of(g.path))], ledger.open_at(tx, self.name))

    def _commit(self, known: Ledger) -> None:
        """Everything before these offsets is done, or lost."""
        begun = [g for g in known.generations if g.inode != UNSEEN]
        done = {g.path: known.open_at.get(g.generation, g.identity.planned_to) for g in begun}
        self._cluster.commit(
            {(topic_of(path), number_of(path)): offset for path, offset in done.items() if path in self._seen}
        )
