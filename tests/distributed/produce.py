"""Request log lines to a Kafka topic."""

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic


class Producer:
    """To one topic, which it creates; record n goes to partition n modulo their number."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self.partitions = partitions
        self.sent = 0
        self._client = Client({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(timeout=30)

    def add_partitions(self, partitions: int) -> None:
        """The topic has so many afterwards, and what is sent from now on is spread over them all."""
        self._admin.create_partitions([NewPartitions(self._topic, partitions)])[self._topic].result(timeout=30)
        deadline = time.monotonic() + 30
        while len(self._client.list_topics(self._topic, timeout=30).topics[self._topic].partitions) < partitions:
            assert time.monotonic() < deadline, "the new partition does not show"
        self.partitions = partitions

    def send(self, lines: Sequence[bytes]) -> None:
        """Returns when the broker has them."""
        for line in lines:
            self._produce(line.rstrip(b"\n"), self.sent % self.partitions)
            self.sent += 1
            if not self.sent % 1000:
                self._client.poll(0)
        left = self._client.flush(300)
        assert not left, f"{left} records were not taken"

    def _produce(self, value: bytes, partition: int) -> None:
        """A partition that has just been added is not known to the client at once."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self._client.produce(self._topic, value, partition=partition)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION or time.monotonic() > deadline:
                    raise
                self._client.poll(0.1)
