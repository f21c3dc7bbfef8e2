"""Request log lines to a Kafka topic."""

from collections.abc import Sequence

from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient, NewTopic


class Producer:
    """To one topic, which it creates; record n goes to partition n modulo their number."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self._sent = 0
        self._client = Client({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
        created = AdminClient({"bootstrap.servers": bootstrap}).create_topics([NewTopic(topic, partitions, 1)])
        created[topic].result(timeout=30)

    def send(self, lines: Sequence[bytes]) -> None:
        """Returns when the broker has them."""
        for line in lines:
            self._client.produce(self._topic, line.rstrip(b"\n"), partition=self._sent % self._partitions)
            self._sent += 1
            if not self._sent % 1000:
                self._client.poll(0)
        left = self._client.flush(60)
        assert not left, f"{left} records were not taken"
