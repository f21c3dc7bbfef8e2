"""A Kafka broker for tests, with an encrypted listener beside the plain one, and what they need of it."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from tidegauge.engine.kafka import Kafka

USER, PASSWORD = "gauge", "a password of the tests"
_names = count()

_SECURE = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{secure}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
 user_{user}="{password}";
ssl.keystore.location={work}/keys.p12
ssl.keystore.type=PKCS12
ssl.keystore.password=changeit
"""


class Broker(Kafka):
    """Takes three ports from the given one on; the third is the encrypted listener's."""

    def __init__(self, directory: Path, port: int, work: Path) -> None:
        super().__init__(directory, port, work)
        self.work = work.resolve()
        self.secure = f"127.0.0.1:{port + 2}"
        self.certificate = self.work / "certificate.pem"

    def _write_settings(self) -> Path:
        if not self.certificate.exists():
            self._make_keys()
        file = super()._write_settings()
        port = int(self.bootstrap.rpartition(":")[2])
        more = {"port": port, "controller": port + 1, "secure": port + 2, "work": self.work}
        file.write_text(file.read_text() + _SECURE.format(user=USER, password=PASSWORD, **more))
        return file

    def _make_keys(self) -> None:
        tool = shutil.which("keytool")
        assert tool, "keytool belongs to every Java"
        store = ["-keystore", str(self.work / "keys.p12"), "-storetype", "PKCS12", "-storepass", "changeit"]
        name = ["-alias", "broker", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-keyalg", "EC"]
        subprocess.run([tool, "-genkeypair", *name, "-validity", "30", *store], check=True, capture_output=True)
        export = [tool, "-exportcert", "-rfc", "-alias", "broker", "-file", str(self.certificate), *store]
        subprocess.run(export, check=True, capture_output=True)

    def topic(self, partitions: int = 1, name: str | None = None, **config: Any) -> "Topic":
        return Topic(self.bootstrap, name or f"topic-{next(_names)}", partitions, config)


class Topic:
    """A topic of its own."""

    def __init__(self, bootstrap: str, name: str, partitions: int, config: dict[str, Any]) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.config = {key.replace("_", "."): str(value) for key, value in config.items()}
        self.create(partitions)

    def create(self, partitions: int = 1) -> None:
        def made() -> bool:
            try:
                self.admin.create_topics([NewTopic(self.name, partitions, 1, config=self.config)])[self.name].result(30)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise
                return False  # it is still being deleted
            return True

        until(made)
        until(lambda: self._seen(partitions))

    def _seen(self, partitions: int) -> bool:
        found = self.admin.list_topics(timeout=10).topics.get(self.name)
        return found is not None and len(found.partitions) == partitions

    def delete(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result(30)
        until(lambda: self.name not in self.admin.list_topics(timeout=10).topics)

    def grow(self, partitions: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(30)
        until(lambda: self._seen(partitions))

    def send(self, *values: bytes | None, partition: int = 0, **how: Any) -> None:
        """Through a client that knows the topic as it is now."""
        producer = Client({"bootstrap.servers": self.bootstrap, "linger.ms": 0})
        for value in values:
            producer.produce(self.name, value, partition=partition, **how)
        assert producer.flush(30) == 0

    def remove_before(self, offset: int, partition: int = 0) -> None:
        """As retention does, at once."""
        place = TopicPartition(self.name, partition, offset)
        self.admin.delete_records([place])[place].result(30)

    def offsets(self, partition: int = 0) -> list[int]:
        """Offsets of the records that are there."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "offsets", "enable.partition.eof": True}
            | {"enable.auto.commit": False}
        )
        consumer.assign([TopicPartition(self.name, partition, 0)])
        found: list[int] = []
        while (message := consumer.poll(30)) is not None and message.error() is None:
            found.append(message.offset() or 0)
        consumer.close()
        assert message is not None, "no end in 30 s"
        return found


class Producer:
    """To one topic, which it creates; record n goes to partition n modulo their number."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = Topic(bootstrap, topic, partitions, {})
        self.partitions = partitions
        self.sent = 0
        # By itself a client looks for new partitions every five minutes.
        often = {"topic.metadata.refresh.interval.ms": 1_000}
        self._client = Client({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True} | often)

    def add_partitions(self, partitions: int) -> None:
        """The topic has so many afterwards, and what is sent from now on is spread over them all."""
        self._topic.grow(partitions)
        self.partitions = partitions

    def send(self, lines: Iterable[bytes]) -> None:
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

        def taken() -> bool:
            try:
                self._client.produce(self._topic.name, value, partition=partition)
            except BufferError:
                self._client.poll(0.1)
                return False
            except KafkaException as error:
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                self._client.poll(0.1)
                return False
            return True

        until(taken)


def until(good: Callable[[], Any], seconds: float = 60.0) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.05)


def committed(bootstrap: str, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Offsets that a consumer group has, as monitoring tools see them."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=10)
    consumer.close()
    return {at.partition: at.offset for at in found}
