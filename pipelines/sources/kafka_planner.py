"""Compares a Kafka source with the ledger, plans what is new and gives up what is gone."""

import uuid
from collections.abc import Sequence

from pipelines.sources import kafka_ranges, losses
from pipelines.sources.kafka_client import Sight
from pipelines.sources.kafka_ranges import UNSEEN, Await, Begin, Extend, Ledger, Lose, Note, Retire, Step
from tidegauge.domain import Clock, Encoding, Micros
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Generation, Identity
from tidegauge.storage.store import Store, Transaction, retry_conflicts


class KafkaPlanner:
    """Plans ranges of a source's partitions. `most` offsets make a block."""

    def __init__(self, store: Store, clock: Clock, source: str, most: int, latest: bool) -> None:
        self._store = store
        self._clock = clock
        self._source = source
        self._most = most
        self._latest = latest

    def plan(self, known: Ledger, sight: Sight) -> None:
        """One look. Raises SourceError for a cluster that is not the one that was planned from."""
        now = self._clock.now()
        todo = list(kafka_ranges.steps(known, sight, self._latest, self._most, now))
        if todo:
            retry_conflicts(self._write, todo, sight.cluster, now)

    def _write(self, todo: Sequence[Step], cluster: str, now: Micros) -> None:
        with self._store.write() as tx:
            if tx.dialect == "postgresql":
                tx.rows("lock_planner")
            for step in todo:
                self._take(tx, step, cluster, now)

    def _take(self, tx: Transaction, step: Step, cluster: str, now: Micros) -> None:
        match step:
            case Begin():
                self._begin(tx, step, cluster, now)
            case Await(path):
                self._insert(tx, path, Identity(tail_hash=cluster), 0, now, UNSEEN)
            case Extend(generation, cuts):
                _extend(tx, generation, cuts, now)
            case Lose(generation, reason, None):
                lost = ledger.lose(tx, generation.generation, reason, now)
                _tell(tx, generation, [(row["start"], row["stop"]) for row in lost], reason, now)
            case Lose(generation, reason, int(before)):
                live = ledger.live_owners(tx, now)
                _tell(
                    tx,
                    generation,
                    ledger.lose_before(tx, generation.generation, before, reason, live, now),
                    reason,
                    now,
                )
            case Retire(generation, reason):
                lost = ledger.retire(tx, generation.generation, reason, now)
                _tell(tx, generation, [(row["start"], row["stop"]) for row in lost], reason, now)
            case Note(generation):
                ledger.note_generation(tx, generation)

    def _begin(self, tx: Transaction, step: Begin, cluster: str, now: Micros) -> None:
        partition = step.partition
        identity = Identity(prefix_hash=partition.topic_id, planned_to=step.start, tail_hash=cluster)
        generation = self._insert(tx, partition.path, identity, partition.stable, now)
        if generation is not None and step.cuts:
            _extend(tx, generation, step.cuts, now)

    def _insert(
        self, tx: Transaction, path: str, identity: Identity, size: int, now: Micros, wrong: str = ""
    ) -> Generation | None:
        if ledger.generations_at(tx, self._source, path):
            return None  # another planner was faster
        generation = Generation(
            generation=uuid.uuid4().hex[:16],
            source=self._source,
            path=path,
            encoding=Encoding.KAFKA,
            inode=wrong,
            identity=identity,
            size_seen=size,
            unchanged_since=now,
            state="live",
        )
        ledger.insert_generation(tx, generation, now)
        return generation


def _extend(tx: Transaction, generation: Generation, cuts: Sequence[int], now: Micros) -> None:
    was = generation.identity
    identity = Identity(prefix_hash=was.prefix_hash, planned_to=cuts[-1], tail_hash=was.tail_hash)
    ledger.plan_ranges(tx, generation.generation, was.planned_to, cuts, identity, now)


def _tell(tx: Transaction, generation: Generation, lost: Sequence[tuple[int, int]], reason: str, now: Micros) -> None:
    """A ticket for what is lost: somebody's retention is too short, or our workers are too few."""
    if not lost:
        return
    offsets = sum(stop - start for start, stop in lost)
    evidence = {"blocks": len(lost), "offsets": offsets, "from": lost[0][0], "to": lost[-1][1], "why": reason}
    losses.tell(tx, generation, evidence, now)
