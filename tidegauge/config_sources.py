"""Where requests come from, as tidegauge.yaml says it under `sources`."""

from typing import Literal

import msgspec

from tidegauge.config_numbers import Positive


class SourceSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files by glob: .jsonl, compressed as .gz or .zst, or .parquet; of this machine, or as s3://… or gs://… of a
    cloud store. Or topics of a Kafka cluster.
    """

    files: str | None = None
    kafka: str | None = None
    """Brokers to ask first, HOST:PORT, with commas between them. All keys below belong to it."""
    topics: str | tuple[str, ...] = ()
    """Names, or patterns that begin with ^."""
    group: str = "tidegauge"
    """Under this name the ledger keeps what was read; another one begins anew."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a topic is begun that was never seen before."""
    record_bytes: Positive = 2048
    """Usual size of a record; a block has as many offsets as then make up job.block_bytes."""
    headers: dict[str, str] = {}
    """Fields that are taken from a header where the record itself has none: FIELD: HEADER."""
    config: dict[str, str | int | bool] = {}
    """Settings of librdkafka, passed on as they are."""
    config_env: dict[str, str] = {}
    """The same for secrets: the name of the environment variable that holds the value."""

    @property
    def is_remote(self) -> bool:
        """Whether `files` names objects of a cloud store, s3://… or gs://…."""
        return "://" in (self.files or "")

    @property
    def topic_names(self) -> tuple[str, ...]:
        return (self.topics,) if isinstance(self.topics, str) else self.topics
