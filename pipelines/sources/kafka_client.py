"""A Kafka cluster as a source needs it: what is there now, whose topic that is, and commits for monitoring tools."""

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tidegauge.config_sources import SourceSection
from tidegauge.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._topic import TopicDescription

ANSWER_SECONDS = 3.0
"""How long a broker has for an answer; a tick must not hang."""

REST_SECONDS = 5.0
"""After a question without an answer, none is asked for so long."""

_QUIET_SECONDS = 600.0
_INTERNAL = "__"  # topics of Kafka itself
_NO_ID = ("", "AAAAAAAAAAAAAAAAAAAAAA")  # a zero UUID: brokers before 2.8 know no ids

T = TypeVar("T")
_log = logging.getLogger("tidegauge.kafka")


class Partition(NamedTuple):
    """A partition as it is now: readable are the offsets from `first` up to `stable`, the last stable offset."""

    topic: str
    number: int
    topic_id: str
    first: int
    stable: int

    @property
    def path(self) -> str:
        return f"{self.topic}/{self.number}"


class Sight(NamedTuple):
    """One look at a cluster. `dark` are partitions that were not to be seen, with the reason."""

    cluster: str
    partitions: list[Partition]
    dark: dict[str, str]


class _Once(logging.Filter):
    """The client says the same thing for every broker and try; once in a while is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = re.sub(r"\d+", "", record.getMessage())[:80]
        now = time.monotonic()
        if now - self._said.get(key, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        self._said[key] = now
        return True


_log.addFilter(_Once())


def settings(section: SourceSection, environ: Mapping[str, str], **own: Any) -> dict[str, Any]:
    """The client's configuration. Raises SourceError for a secret that the environment does not have."""
    missing = sorted(name for name in section.config_env.values() if not environ.get(name))
    if missing:
        raise SourceError(f"{', '.join(missing)}: not set in the environment of this process")
    secrets = {key: environ[name] for key, name in section.config_env.items()}
    usual = {"client.id": "tidegauge", "reconnect.backoff.max.ms": 1000, "log_level": 4}
    return {**usual, **section.config, **secrets, "bootstrap.servers": section.kafka, **own, "logger": _log}


def check(section: SourceSection, environ: Mapping[str, str]) -> None:
    """Raises ConfigError for settings that the client refuses and secrets that are not there; asks no broker."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient(settings(section, environ))
    except SourceError as error:
        raise ConfigError(f"sources: kafka: config_env: {error}") from None
    except KafkaException as error:
        raise ConfigError(f"sources: kafka: config: {said(error)}") from None


def said(error: Exception) -> str:
    """An error of the client in its own words."""
    inner = error.args[0] if error.args else error
    return str(inner.str()) if hasattr(inner, "str") else str(inner)


class Cluster:
    """Questions to a cluster. A broker that does not answer is left alone for a while."""

    def __init__(self, section: SourceSection) -> None:
        self._section = section
        self._admin: AdminClient | None = None
        self._rests_until = 0.0
        self._why = ""
        self._committed: dict[tuple[str, int], int] = {}

    def look(self) -> Sight:
        """All partitions of the source's topics. Raises SourceError when no broker answers."""
        admin = self._client()
        topics = self._topics(admin)
        descriptions, dark = self._describe(admin, topics)
        for topic in sorted({*topics} - descriptions.keys() - dark.keys()):
            _log.warning("%s: there is no such topic", topic)
        led = {
            (topic, partition.id): _id_of(found)
            for topic, found in descriptions.items()
            for partition in found.partitions
            if partition.leader is not None
        }
        for topic, found in descriptions.items():
            dark |= {f"{topic}/{p.id}": "no leader" for p in found.partitions if p.leader is None}
        first, unseen = self._offsets(admin, list(led), latest=False)
        stable, unstable = self._offsets(admin, list(led), latest=True)
        seen = [
            Partition(*place, led[place], first[place], max(first[place], stable[place]))
            for place in sorted(led)
            if place in first and place in stable
        ]
        return Sight(admin.cluster_id(ANSWER_SECONDS), seen, dark | unseen | unstable)

    def matches(self, topic: str) -> bool:
        """Whether a topic is one of the source's."""
        return any(
            re.match(name, topic) is not None and not topic.startswith(_INTERNAL) if name[:1] == "^" else name == topic
            for name in self._section.topic_names
        )

    def topic_id(self, topic: str) -> str:
        """Which life of a topic this is; empty where the brokers know no ids. Raises SourceError."""
        found, dark = self._describe(self._client(), [topic])
        if topic not in found:
            raise SourceError(f"{topic}: {dark.get(topic, 'there is no such topic')}")
        return _id_of(found[topic])

    def first_offset(self, topic: str, number: int) -> int:
        """The oldest offset that is still there. Raises SourceError."""
        found, dark = self._offsets(self._client(), [(topic, number)], latest=False)
        if not found:
            raise SourceError(next(iter(dark.values())))
        return found[topic, number]

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Says in the consumer group how far the ledger is. Nobody here reads it: what goes wrong is only logged."""
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

        news = {place: offset for place, offset in offsets.items() if self._committed.get(place) != offset}
        if not news or time.monotonic() < self._rests_until:
            return
        places = [TopicPartition(topic, number, offset) for (topic, number), offset in sorted(news.items())]
        group = self._section.group
        try:
            asked = self._client().alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, places)], request_timeout=ANSWER_SECONDS
            )
            _answer(asked[group])
        except (KafkaException, SourceError) as error:
            _log.warning("offsets of group %s: %s", group, said(error))
            return
        self._committed |= news

    def failed(self, why: str) -> SourceError:
        """Notes that nobody answers; the error to raise."""
        self._rests_until, self._why = time.monotonic() + REST_SECONDS, why
        return SourceError(why)

    def close(self) -> None:
        """Ends the client's threads and connections."""
        self._admin = None

    def _client(self) -> "AdminClient":
        if time.monotonic() < self._rests_until:
            raise SourceError(self._why)
        if self._admin is None:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient

            try:
                self._admin = AdminClient(settings(self._section, os.environ))
            except KafkaException as error:
                raise SourceError(said(error)) from error
        self._admin.poll(0)  # hands what the client has to say to the log
        return self._admin

    def _topics(self, admin: "AdminClient") -> list[str]:
        names = self._section.topic_names
        if not any(name.startswith("^") for name in names):
            return sorted(set(names))
        from confluent_kafka import KafkaException

        try:
            there = admin.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException as error:
            raise self.failed(said(error)) from error
        return sorted({*(n for n in names if n[:1] != "^"), *(topic for topic in there if self.matches(topic))})

    def _describe(
        self, admin: "AdminClient", topics: Sequence[str]
    ) -> tuple[dict[str, "TopicDescription"], dict[str, str]]:
        from confluent_kafka import TopicCollection

        if not topics:
            return {}, {}
        asked = admin.describe_topics(TopicCollection(list(topics)), request_timeout=ANSWER_SECONDS)
        found, dark = self._answers(asked.items())
        return found, {topic: said(error) for topic, error in dark.items() if not _is_unknown(error)}

    def _offsets(
        self, admin: "AdminClient", places: Sequence[tuple[str, int]], latest: bool
    ) -> tuple[dict[tuple[str, int], int], dict[str, str]]:
        from confluent_kafka import IsolationLevel, TopicPartition
        from confluent_kafka import admin as untyped

        if not places:
            return {}, {}
        specs: Any = untyped
        spec = specs.OffsetSpec.latest() if latest else specs.OffsetSpec.earliest()
        asked = admin.list_offsets(
            {TopicPartition(*place): spec for place in places},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=ANSWER_SECONDS,
        )
        found, dark = self._answers(((at.topic, at.partition), answer) for at, answer in asked.items())
        return (
            {place: int(answer.offset) for place, answer in found.items()},
            {"/".join(map(str, place)): said(error) for place, error in dark.items()},
        )

    def _answers(self, asked: "Iterable[tuple[T, Future[Any]]]") -> tuple[dict[T, Any], dict[T, Exception]]:
        """Answers, and errors where there is none. Raises SourceError where nobody answers at all."""
        from confluent_kafka import KafkaError, KafkaException

        silence = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
        found: dict[T, Any] = {}
        dark: dict[T, Exception] = {}
        for name, answer in asked:
            try:
                found[name] = _answer(answer)
            except KafkaException as error:
                if error.args[0].code() in silence:
                    raise self.failed(f"{self._section.kafka}: {said(error)}") from error
                dark[name] = error
        return found, dark


def _id_of(topic: "TopicDescription") -> str:
    name = str(topic.topic_id or "")
    return "" if name in _NO_ID else name


def _is_unknown(error: Exception) -> bool:
    from confluent_kafka import KafkaError

    return bool(error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART)


def _answer(asked: "Future[Any]") -> Any:
    return asked.result(ANSWER_SECONDS + 2)
