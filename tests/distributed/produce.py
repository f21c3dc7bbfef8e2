"""Request log lines to a Kafka topic."""

from collections.abc import Sequence

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
        self.partitions = partitions

    def send(self, lines: Sequence[bytes]) -> None:
        """Returns when the broker has them."""
        for line in lines:
            self._client.produce(self._topic, line.rstrip(b"\n"), partition=self.sent % self.partitions)
            self.sent += 1
            if not self.sent % 1000:
                self._client.poll(0)
        left = self._client.flush(300)
        assert not left, f"{left} records were not taken"
