"""What travels between the transforms, and what each of them begins with."""

import os
from typing import Any

import apache_beam as beam
import msgspec

from pipelines.measures import Measures
from pipelines.presence import Presence
from tidegauge.config import Config
from tidegauge.config_sources import SourceSection
from tidegauge.domain import Clock, Micros
from tidegauge.storage import ledger
from tidegauge.storage.ledger import Claim, Claimed
from tidegauge.storage.store import Store, Transaction

STORE_VARIABLE = "TIDEGAUGE_STORE_URL"


class Tick(msgspec.Struct, frozen=True):
    """A time to look: for which sweep and up to which plan; in a job that looks once, also who works.

    In a stream the workers are other processes than the one that ticks, and work under names of their own.
    """

    sweep: str
    owner: str = ""
    planned_by: Micros = 0


class Settings(msgspec.Struct, frozen=True):
    """What the transforms need to know; travels to the workers, without secrets."""

    config: Config
    sources: tuple[SourceSection, ...]
    clock: Any
    final: bool = False
    stream: str = ""
    """The job's name where it is a stream."""
    share: int = 1
    """Among how many processes a look is shared."""


class Sweep(msgspec.Struct, frozen=True):
    """Pending samples to take, at most so many. `shed`: those that waited too long for a judge, to go without."""

    most: int
    shed: bool = False


Work = Claimed | Sweep


def open_store(settings: Settings) -> Store:
    """In a stream the worker's environment may name it: a password does not travel."""
    url = settings.config.store.url
    if settings.stream:
        return Store(os.environ.get(STORE_VARIABLE, url), settings.config.store, "stream")
    return Store(url, settings.config.store, "run")


class StoreDoFn(beam.DoFn):
    """A DoFn with the store open."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def setup(self) -> None:
        self.store = open_store(self.settings)
        self.measures = Measures.here(self.store.url)
        if self.settings.stream:
            self.presence = Presence.here(self.store.url, self.settings.stream, self.clock, self.settings.config.store)

    def teardown(self) -> None:
        self.store.close()

    @property
    def clock(self) -> Clock:
        clock: Clock = self.settings.clock
        return clock

    def me(self, tick: Tick) -> str:
        """The name under which this process works."""
        return tick.owner or self.presence.owner.name

    def hold(self, tx: Transaction, tick: Tick) -> Claim:
        """What work is taken with: a job that looks once keeps it, a stream's worker for a while."""
        now = self.clock.now()
        until = now + ledger.LEASE if self.settings.stream else ledger.NEVER
        return Claim(self.me(tick), tick.sweep, ledger.live_owners(tx, now), now, until)
