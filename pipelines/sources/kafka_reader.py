"""Reads planned ranges of offsets. Only positions end a range: markers and compaction leave gaps between offsets."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pipelines.cutter import READ_BYTES
from pipelines.sources import kafka_client
from pipelines.sources.kafka_client import Cluster, said
from pipelines.sources.kafka_lines import Index, members, whole_lines, with_members
from pipelines.sources.kafka_ranges import number_of, topic_of
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Block
from tidegauge.errors import SourceChanged, SourceError
from tidegauge.storage.ledger import Claimed

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

STALL_SECONDS = 10.0
"""Without a record for so long a block is given back."""

_POLL_SECONDS = 0.25
_AT_ONCE = 1_000
"""Records read together at most; fewer where they are large, see READ_BYTES."""

_READ_AHEAD_KB = 4 << 10

_OWN = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
}
_USUAL = {
    "fetch.wait.max.ms": 20,  # a range that ends with a marker is known to end only by an empty answer
    "queued.max.messages.kbytes": _READ_AHEAD_KB,  # what is fetched behind a range's end is fetched in vain
    "fetch.queue.backoff.ms": 10,  # the client's second is far longer than it takes to use up what is there
}


class KafkaReader:
    """One consumer, which is given one range after the other. It belongs to no group; nobody is rebalanced."""

    def __init__(self, section: SourceSection, cluster: Cluster) -> None:
        self._section = section
        self._cluster = cluster
        self._consumer: Consumer | None = None
        self._at_once = _AT_ONCE // 10
        self.index = Index()

    def read(self, claimed: Claimed) -> Iterator[bytes]:
        """The block's records as JSON lines, some READ_BYTES at a time. As `Source.read`."""
        from confluent_kafka import KafkaException

        block = claimed.block
        self._check(claimed)
        self.index = Index()
        try:
            for records in self._records(block):
                lines = self._lines(records)
                self._at_once = max(1, min(_AT_ONCE, READ_BYTES * len(records) // len(lines)))
                yield lines
        except KafkaException as error:
            raise SourceError(f"{block.path}: {said(error)}") from error
        self._check(claimed)

    def close(self) -> None:
        """Ends the consumer's threads and connections."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _check(self, claimed: Claimed) -> None:
        """The topic of that name is still the one that was planned, or was so while all was read."""
        topic, planned = topic_of(claimed.block.path), claimed.identity.prefix_hash
        found = self._cluster.topic_id(topic)
        if planned and found and found != planned:
            raise SourceChanged(f"{topic}: was deleted and made anew since it was planned")

    def _records(self, block: Block) -> "Iterator[dict[int, Message]]":
        from confluent_kafka import KafkaException, TopicPartition

        consumer = self._connected()
        consumer.assign([TopicPartition(topic_of(block.path), number_of(block.path), block.start)])
        try:
            yield from self._until(consumer, block)
        finally:
            with suppress(KafkaException):
                consumer.unassign()

    def _until(self, consumer: "Consumer", block: Block) -> "Iterator[dict[int, Message]]":
        """Batches of records, by offset, up to the block's end."""
        reached, heard = block.start, time.monotonic()
        while reached < block.stop:
            records, reached = self._batch(consumer, block, reached)
            if records:
                yield records
            if records or reached >= block.stop:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALL_SECONDS:
                raise SourceError(f"{block.path}: nothing behind offset {reached}; planned was up to {block.stop}")

    def _batch(self, consumer: "Consumer", block: Block, reached: int) -> "tuple[dict[int, Message], int]":
        """What is there of the block, and up to which offset that is."""
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            return {}, reached
        kept: dict[int, Message] = {}
        for message in (first, *consumer.consume(self._at_once, 0)):
            offset = message.offset() or 0
            if (error := message.error()) is not None:
                self._judge(block, error)
                reached = max(reached, offset)  # the end of what is there now, behind all markers
            elif offset >= block.stop:
                return kept, block.stop
            elif offset >= reached:
                kept[offset] = message
                reached = offset + 1
        return kept, reached

    def _judge(self, block: Block, error: "KafkaError") -> None:
        """Raises what an error means for the block; the end of a partition is none."""
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._PARTITION_EOF:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            first = self._cluster.first_offset(topic_of(block.path), number_of(block.path))
            if block.start < first:
                raise SourceChanged(f"{block.path}: offsets before {first} are gone; planned was from {block.start}")
        raise SourceError(f"{block.path}: {error.str()}")

    def _lines(self, records: "dict[int, Message]") -> bytes:
        values = [message.value() for message in records.values()]
        if wanted := self._section.headers:
            headers = (members(message.headers(), wanted) for message in records.values())
            values = list(map(with_members, values, headers))
        lines = whole_lines(values)
        self.index.extend(records, lines)
        return b"".join(lines)

    def _connected(self) -> "Consumer":
        if self._consumer is None:
            from confluent_kafka import Consumer

            given = kafka_client.settings(self._section, os.environ, **{"group.id": self._section.group})
            self._consumer = Consumer({**_USUAL, **given, **_OWN})
        return self._consumer
