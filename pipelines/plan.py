"""From a tick to the work that there is: blocks to read, pending samples to judge."""

import math
import time
from collections.abc import Iterator

import msgspec

from evaluators.endpoint import asked_judges
from pipelines.notes import Notes
from pipelines.sources.build import Sources
from pipelines.sources.source import Planning
from pipelines.work import StoreDoFn, Sweep, Tick, Work
from tidegauge.config import Config
from tidegauge.domain import HOUR, Micros
from tidegauge.storage import ledger, sampling, streams
from tidegauge.storage.ledger import Claim, Claimed
from tidegauge.storage.store import Transaction, retry_conflicts

SWEEP_PORTION = 2_000
SWEEPS_A_TICK = 2  # of a job that looks once: each tick ends with a wait for the slowest answers
SWEEP_ROUNDS = 4
TRIES = 4
"""One of so many places of a stream is for blocks that could not be read before."""

USUAL_RATE = 0.02
MOST_PORTIONS = 8


class Plan(StoreDoFn):
    """tick → work. The ledger has blocks before anything is read of them."""

    def setup(self) -> None:
        super().setup()
        self.sources = Sources(self.settings.sources)
        config = self.settings.config
        self.at_once = sweep_size(config)
        self.notes = Notes(self.settings, self.store, self.sources, self.measures)
        self.looked = -math.inf

    def teardown(self) -> None:
        self.sources.close()
        super().teardown()

    def process(self, tick: Tick) -> Iterator[tuple[Tick, Work]]:
        if self.settings.stream and not retry_conflicts(self._is_time, tick):
            return
        job = self.settings.config.job
        began = time.monotonic()
        planning = Planning(job.block_bytes, self.settings.final)
        failed = retry_conflicts(self.sources.plan, self.store, self.clock, planning)
        planned_by = tick.planned_by or retry_conflicts(self._planned_until)
        tick = msgspec.structs.replace(tick, owner=self.me(tick), planned_by=planned_by)
        for claimed in retry_conflicts(self._claim_blocks, tick):
            yield tick, claimed
        for sweep in retry_conflicts(self._sweeps, tick):
            yield tick, sweep
        self.looked = time.monotonic()
        self.notes.take(self.looked - began, failed)

    def _is_time(self, tick: Tick) -> bool:
        """Ticks that queued behind a slow look are not made up for, and a stream that is to stop plans nothing."""
        if time.monotonic() - self.looked < self.settings.config.stream.tick_seconds / 2:
            return False
        with self.store.read() as tx:
            return not streams.stops(tx, self.settings.stream)

    def _planned_until(self) -> Micros:
        if self.settings.stream:
            return ledger.NEVER
        with self.store.read() as tx:
            return ledger.planned_until(tx, self.clock.now())

    def _claim_blocks(self, tick: Tick) -> list[Claimed]:
        with self.store.write() as tx:
            hold = self.hold(tx, tick)
            if self.settings.stream:
                return self._claim_for_stream(tx, hold)
            return ledger.claim_blocks(tx, hold, tick.planned_by, self._portion(tx, tick))

    def _claim_for_stream(self, tx: Transaction, hold: Claim) -> list[Claimed]:
        """What could not be read is tried again in some of the places only: a source that is silent holds them long."""
        most = self.settings.config.stream.in_flight_blocks
        room = most - ledger.in_work(tx, hold.live, hold.now)[0]
        found = ledger.claim_blocks(tx, hold, ledger.NEVER, room, again=False) if room > 0 else []
        tries = max(1, most // TRIES) - ledger.tried_again(tx, hold.live, hold.now)
        left = min(room - len(found), tries)
        return found + ledger.claim_blocks(tx, hold, ledger.NEVER, left) if left > 0 else found

    def _portion(self, tx: Transaction, tick: Tick) -> int:
        """Blocks of a tick: what is held until its end are samples, and each tick ends with a wait for the judge."""
        rate = max((plan.rate for plan in sampling.plans(tx)), default=1.0)
        share = USUAL_RATE / rate if rate else MOST_PORTIONS
        most = round(self.settings.config.job.portion_blocks * min(max(share, 1), MOST_PORTIONS))
        workers = self.settings.share
        if workers > 1:
            most = min(most, math.ceil(ledger.count_open_blocks(tx, tick.sweep, tick.planned_by) / workers))
        return most

    def _sweeps(self, tick: Tick) -> list[Sweep]:
        """In a stream as many as there is room for, in parts that spread over workers and end within a checkpoint."""
        if not self.settings.stream:
            return [Sweep(SWEEP_PORTION)] * SWEEPS_A_TICK
        limit = self.settings.config.stream.in_flight_samples
        with self.store.read() as tx:
            now = self.clock.now()
            live = ledger.live_owners(tx, now)
            room = max(0, limit - ledger.in_work(tx, live, now)[1])
            free = ledger.count_free_samples(tx, tick.sweep, live, now, most=room)
            old = self._overdue(tx, tick, live, now)
        shed = [Sweep(SWEEP_PORTION, shed=True)] if old else []
        return shed + [Sweep(self.at_once) for _ in range(0, free, self.at_once)]

    def _overdue(self, tx: Transaction, tick: Tick, live: list[str], now: Micros) -> int:
        by = shed_by(self.settings.config, now)
        return 0 if by is None else ledger.count_free_samples(tx, tick.sweep, live, now, most=1, ingested_by=by)


def sweep_size(config: Config) -> int:
    """Samples of a stream's sweep: some rounds of the judges' concurrency."""
    asked = asked_judges(config)
    return SWEEP_ROUNDS * max(judge.concurrency for judge in asked) if asked else SWEEP_PORTION


def shed_by(config: Config, now: Micros) -> Micros | None:
    """Pending samples that came before this go without a judge; None where no rule says so."""
    hours = config.stream.shed_after_hours
    return None if hours is None else now - round(hours * HOUR)
