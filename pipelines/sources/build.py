"""The sources of a job, from its configuration."""

import logging
from collections.abc import Iterator, Mapping, Sequence

from pipelines.sources.file_source import FileSource
from pipelines.sources.source import Planning, Source
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Block, Clock, Encoding
from tidegauge.errors import SourceError
from tidegauge.storage.store import Store

_FILES = (Encoding.PLAIN, Encoding.ARCHIVE, Encoding.ROTATED)

_log = logging.getLogger("tidegauge")


def build_source(section: SourceSection) -> Source:
    """The source that a section of the configuration describes."""
    if section.kafka is not None:
        from pipelines.sources.kafka_source import KafkaSource

        return KafkaSource(section)
    return _by_pattern(section.files or "")


def _by_pattern(pattern: str) -> Source:
    if "://" not in pattern:
        return FileSource(pattern)
    from pipelines.sources.objects import ObjectSource

    return ObjectSource(pattern)


def check_sources(sections: Sequence[SourceSection], environ: Mapping[str, str]) -> None:
    """Raises ConfigError for what cannot be right, whatever a source would answer. Asks nobody."""
    for section in sections:
        if section.kafka is not None:
            from pipelines.sources import kafka_client

            kafka_client.check(section, environ)
        elif section.is_remote:
            from pipelines.sources import objects

            objects.check(section.files or "")


class Sources:
    """All sources of a job."""

    def __init__(self, sections: Sequence[SourceSection]) -> None:
        built = (build_source(section) for section in sections)
        self._by_name: dict[str, Source] = {source.name: source for source in built}

    def plan(self, store: Store, clock: Clock, planning: Planning) -> dict[str, str]:
        """Plans what is new in each; what could not be looked at, and why, keeps no other one from being planned."""
        failed = {}
        planning = planning._replace(sources=frozenset(self._by_name))
        for name, source in self._by_name.items():
            try:
                source.plan(store, clock, planning)
            except (SourceError, OSError) as error:
                _log.warning("%s: %s", name, error)
                failed[name] = str(error)
        return failed

    def of(self, block: Block) -> Source:
        """The source of a block, which another job with other sources may have planned."""
        if block.source in self._by_name:
            return self._by_name[block.source]
        if block.encoding in _FILES:
            return _by_pattern(block.source)
        raise SourceError(f"{block.source}: is not among this job's sources, so its blocks cannot be read here")

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_name.values())

    def close(self) -> None:
        for source in self._by_name.values():
            source.close()
