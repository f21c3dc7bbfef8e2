"""What the planner alone can see, put into the store: when it looked, how long that took, what is not planned yet."""

import logging
import math
import time
from collections.abc import Mapping

from pipelines.measures import Measures
from pipelines.sources.build import Sources
from pipelines.work import Settings
from tidegauge.errors import SourceError, StoreError
from tidegauge.storage import flow
from tidegauge.storage.flow import Gap, Look
from tidegauge.storage.store import Store

_LAG_SECONDS = 5.0
"""Between two looks at what lies behind the plan: for a broker that is a question of its own."""

_log = logging.getLogger("tidegauge")


class Notes:
    """A planner's notes. They never keep it from its work: what cannot be looked up or written is only logged."""

    def __init__(self, settings: Settings, store: Store, sources: Sources, measures: Measures) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._measures = measures
        self._lag_at = -math.inf

    def take(self, took: float, failed: Mapping[str, str]) -> None:
        """One tick: its seconds, and the sources that could not be looked at, with the reason."""
        self._measures.observe("tick", took)
        every = self._settings.config.stream.tick_seconds if self._settings.stream else 0.0
        try:
            gaps = self._gaps(failed)
            now = self._settings.clock.now()
            with self._store.write() as tx:
                flow.note_tick(tx, Look(self._settings.stream, every, took, failed), now)
                for source, found in gaps.items():
                    flow.note_lag(tx, source, found, now)
        except StoreError as error:
            _log.warning("notes of a tick: %s", error)

    def _gaps(self, failed: Mapping[str, str]) -> dict[str, list[Gap]]:
        """By source; nothing for those that were looked at lately, or did not answer just now."""
        if self._settings.stream and time.monotonic() - self._lag_at < _LAG_SECONDS:
            return {}
        self._lag_at = time.monotonic()
        found = {}
        for source in self._sources:
            if source.name in failed:
                continue
            try:
                found[source.name] = [Gap(*behind) for behind in source.behind(self._store)]
            except (SourceError, OSError) as error:
                _log.warning("%s: %s", source.name, error)
        return found
