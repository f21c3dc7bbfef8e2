"""The Beam transforms. One class per noun; what must be right is in the store, never in runner state.

Every DoFn opens the store by its URL in `setup`. Failures are values: nothing here raises for a bad line, a changed
file or a silent judge.
"""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from typing import Any

import msgspec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from evaluators import limits
from evaluators.build import build_cascade, build_further
from evaluators.endpoint import all_endpoints
from evaluators.window import JudgeWindow
from pipelines import measures
from pipelines.plan import shed_by
from pipelines.sampling import Sampler, key_in_force
from pipelines.scan import Scanner
from pipelines.sources.build import Sources
from pipelines.work import StoreDoFn, Sweep, Tick, Work
from tidegauge.alerts.act import act
from tidegauge.domain import HALLUCINATION, Micros, Sample, Verdict
from tidegauge.errors import SourceChanged, SourceError, SourceUnfinished
from tidegauge.prices import Prices
from tidegauge.service import calibration, gold_runs, interlock, policy, route, tickets
from tidegauge.service.judging import StoreServices
from tidegauge.service.policy import Policy
from tidegauge.storage import commits, judging, ledger, sampling
from tidegauge.storage.commits import BlockResult, Commit
from tidegauge.storage.ledger import Claimed
from tidegauge.storage.sampling import Plan as SamplingPlan
from tidegauge.storage.store import Transaction, retry_conflicts

VERDICTS_A_COMMIT = 500
VERDICTS_TOGETHER = 50
"""What crosses to another worker costs by the element."""

TOGETHER_SECONDS = 0.25

Verdicts = tuple[Verdict, ...]
"""Of one sample, for all indicators, its own first."""

_packed = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder(tuple[Verdicts, ...]).decode


class Read(StoreDoFn):
    """block → fresh samples; sweep → samples still pending from earlier. All else in a block is committed on the way.

    Both come from one transform, so that they are judged in one window while the next blocks are scanned.
    """

    def setup(self) -> None:
        super().setup()
        config = self.settings.config
        self.key = retry_conflicts(key_in_force, self.store, os.environ)
        self.sources = Sources(self.settings.sources)
        self.scanner = Scanner(Prices(config.prices), config.job.oldest_days)
        self.known: set[int] = set()
        self.endpoints = all_endpoints(config)
        self.tried: Tick | None = None
        self.asks = bool(self.endpoints)
        # A stream must go on reading while the judge lags: its fresh samples wait for a sweep like all others.
        self.leaves_pending = bool(self.settings.stream) and self.asks

    def teardown(self) -> None:
        self.sources.close()
        super().teardown()

    def process(self, element: tuple[Tick, Work]) -> Iterable[Sample]:
        tick, work = element
        if isinstance(work, Sweep):
            return [*retry_conflicts(self._claim_samples, tick, work), *retry_conflicts(self._gold)]
        if self.settings.stream and not retry_conflicts(self._take, tick, work):
            return ()
        try:
            with self.presence.reading(work.block) if self.settings.stream else nullcontext():
                return self._scan_and_commit(tick, work)
        except SourceUnfinished as error:
            retry_conflicts(self._leave_unfinished, tick, work, str(error))
        except SourceChanged as error:
            retry_conflicts(self._release, ledger.release_changed_block, tick, work, str(error))
        except SourceError as error:
            retry_conflicts(self._release, ledger.release_block, tick, work, str(error))
        return ()

    def me(self, tick: Tick) -> str:
        """Whoever reads holds, not whoever planned."""
        return self.presence.owner.name if self.settings.stream else tick.owner

    def _take(self, tick: Tick, claimed: Claimed) -> bool:
        with self.store.write() as tx:
            return ledger.take_block(tx, self.hold(tx, tick), claimed.block, tick.owner)

    def _claim_samples(self, tick: Tick, sweep: Sweep) -> list[Sample]:
        """While no judge answers, none, and one when it is time for a try."""
        in_doubt = not sweep.shed and limits.all_doubtful(self.endpoints)
        if in_doubt and (limits.all_down(self.endpoints) or self.tried == tick):
            return []
        most, newest_first = sweep.most, self.settings.config.stream.pending_order == "newest"
        if in_doubt:
            # What no judge can take stays and becomes the oldest: it must not be what every try is made with.
            most, newest_first = 1, random.Random(tick.sweep).random() < 0.5  # noqa: S311 - no secret
        with self.store.write() as tx:
            hold = self.hold(tx, tick)
            by = (sweep.shed and shed_by(self.settings.config, hold.now)) or ledger.NEVER
            bounds = {"ingested_by": by, "planned_by": tick.planned_by}
            taken = ledger.claim_samples(tx, hold, most, **bounds, newest_first=newest_first)
        if in_doubt:
            self.tried = tick
        return [msgspec.structs.replace(sample, shed=sweep.shed) for sample in taken]

    def _gold(self) -> list[Sample]:
        """Cases with known labels that are due, among the samples, so that judges cannot tell them apart."""
        per_day = self.settings.config.gold.per_day
        if not self.asks or not per_day:
            return []
        with self.store.write() as tx:
            drawn = gold_runs.draw(tx, per_day, self.clock.now())
        return [Sample(request=request, pi1=1.0, plan=0, sha256="") for request in drawn]

    def _scan_and_commit(self, tick: Tick, claimed: Claimed) -> Iterable[Sample]:
        while True:
            with self.measures.timed("block") as block:
                result = self._scan(claimed)
                with self.measures.timed("commit") as commit:
                    outcome, fresh = retry_conflicts(self._commit, tick, claimed, result)
                    commit.units = block.units = result.records if outcome is Commit.WON else 0
            if outcome is Commit.WON:
                self.known |= result.rollup.segments.keys() | result.rollup.accounts.keys()
                measures.count("records", result.records)
                measures.count("quarantined", len(result.quarantined))
                measures.count("samples", len(fresh))
            if outcome is not Commit.STALE:
                return [] if self.leaves_pending else [s for s in result.samples if s.request.request_id in fresh]

    def _scan(self, claimed: Claimed) -> BlockResult:
        block, source = claimed.block, self.sources.of(claimed.block)
        sampler = Sampler(retry_conflicts(self._plans), self.key)
        result = self.scanner.scan(source.read(claimed), block.planned_at, sampler)
        placed = [line._replace(start=source.place(block, line.start)) for line in result.quarantined]
        return result._replace(quarantined=placed)

    def _plans(self) -> list[SamplingPlan]:
        with self.store.read() as tx:
            return sampling.plans(tx)

    def _commit(self, tick: Tick, claimed: Claimed, result: BlockResult) -> tuple[Commit, set[str]]:
        with self.store.write() as tx:
            hold = None if self.leaves_pending else self.hold(tx, tick)
            return commits.commit_block(tx, claimed.block, result, hold, self.clock.now(), self.known)

    def _release(self, release: Callable[..., None], tick: Tick, claimed: Claimed, reason: str) -> None:
        with self.store.write() as tx:
            release(tx, claimed.block, self.hold(tx, tick), reason)

    def _leave_unfinished(self, tick: Tick, claimed: Claimed, reason: str) -> None:
        """A compressed file that is still being written is read when it has grown; one at rest is lost."""
        block, now = claimed.block, self.clock.now()
        if not self.settings.final and not self.sources.of(block).at_rest(block, now):
            self._release(ledger.release_block, tick, claimed, reason)
            return
        with self.store.write() as tx:
            lost = ledger.lose(tx, block.generation, reason, now)  # followed on, or it would begin anew at each look
            if lost:
                tickets.open_ticket(
                    tx,
                    kind="source_lost",
                    subject={"source": block.source, "path": block.path, "generation": block.generation},
                    owner="platform",
                    evidence={"blocks": len(lost), "bytes": sum(r["stop"] - r["start"] for r in lost), "why": reason},
                    now=now,
                )


class Evaluate(StoreDoFn):
    """sample → verdicts of some samples, through a window of calls that slides across elements.

    The window is drained at the bundle's end.
    """

    def setup(self) -> None:
        super().setup()
        config = self.settings.config
        self.shared = StoreServices(self.store, config, self.clock)
        services = self.shared.services()
        self.cascade = build_cascade(config, services)
        self.window = JudgeWindow(self.cascade)
        self.further = {name: JudgeWindow(cascade) for name, cascade in build_further(config, services).items()}
        for window in (self.window, *self.further.values()):
            self.measures.watch(window)
        self.expected: dict[str, int] = {}
        self.parts: dict[str, list[Verdict]] = {}
        self.leaving: list[Verdicts] = []
        self.left_at = time.monotonic()
        self.held: dict[str, float] = {}
        if self.settings.stream:
            self.presence.add(self)

    def start_bundle(self) -> None:
        self.held.clear()
        self.leaving.clear()
        retry_conflicts(self._calibrate)

    def _calibrate(self) -> None:
        with self.store.read() as tx:
            trusted = not interlock.distrusted(tx)
        self.cascade.calibration = None
        if self.cascade.has_bands and trusted:
            everybody = (*self.cascade.evaluators, *self.cascade.judges)
            theta0 = self.settings.config.objective("*").theta0
            self.cascade.calibration = calibration.refresh(self.store, everybody, theta0, self.clock.now())

    def process(self, sample: Sample) -> Iterable[bytes]:
        request = sample.request
        is_gold = request.request_id.startswith(gold_runs.MARK)
        config = self.settings.config
        alone = is_gold or sample.shed
        wanted = [n for n in self.further if config.judged_objective(n, request.intent) is not None]
        others = [] if alone else wanted
        if others:
            self.expected[request.request_id] = 1 + len(others)
        if not is_gold:
            self.held[request.request_id] = time.monotonic()
        self.window.submit(request, everyone=is_gold, spared=sample.shed)
        for name in others:
            self.further[name].submit(request)
        self._collect(self.window.finished(), *(other.finished() for other in self.further.values()))
        if len(self.leaving) >= VERDICTS_TOGETHER or time.monotonic() - self.left_at >= TOGETHER_SECONDS:
            return self._leave()
        return ()

    def _leave(self) -> list[bytes]:
        """Verdicts of some samples travel together."""
        leaving, self.leaving, self.left_at = self.leaving, [], time.monotonic()
        return [_packed(leaving[n : n + VERDICTS_TOGETHER]) for n in range(0, len(leaving), VERDICTS_TOGETHER)]

    def _collect(self, *found: list[Verdict]) -> None:
        """Puts the verdicts of a sample together; they leave when all are there."""
        for verdict in (one for verdicts in found for one in verdicts):
            name = verdict.request_id
            self.held.pop(name, None)
            parts = self.parts.setdefault(name, [])
            parts.append(verdict)
            if len(parts) == self.expected.get(name, 1):
                self.leaving.append(tuple(sorted(self.parts.pop(name), key=lambda v: v.indicator != HALLUCINATION)))
                self.expected.pop(name, None)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        self._collect(self.window.drain(), *(other.drain() for other in self.further.values()))
        for verdicts in self._leave():
            yield WindowedValue(verdicts, window.max_timestamp(), (window,))

    def teardown(self) -> None:
        for window in (self.window, *self.further.values()):
            window.close()
        self.shared.close()
        super().teardown()


class CommitVerdicts(StoreDoFn):
    """verdicts → tests whose evidence changed. Verdict, route, queue row and sums are one transaction."""

    def setup(self) -> None:
        super().setup()
        config = self.settings.config
        self.routing = route.Routing(
            retry_conflicts(key_in_force, self.store, os.environ),
            config.objective,
            config.review.due_hours,
            config.judged_objective,
            patient=bool(self.settings.stream),
        )

    def start_bundle(self) -> None:
        self.waiting: list[Verdict] = []
        self.policies: dict[str, Policy] = {}

    def process(self, verdicts: bytes) -> Iterator[str]:
        self.waiting += chain.from_iterable(_unpacked(verdicts))
        if len(self.waiting) >= VERDICTS_A_COMMIT:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for key in self._flush():
            yield WindowedValue(key, window.max_timestamp(), (window,))

    def _flush(self) -> Iterable[str]:
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return ()
        with self.measures.timed("verdicts") as timed:
            keys = retry_conflicts(self._write, waiting)
            timed.units = len(waiting)
        measures.count("verdicts", len(waiting))
        return keys

    def _write(self, waiting: list[Verdict]) -> set[str]:
        now = self.clock.now()
        samples, drawn = gold_runs.split(waiting)
        with self.store.write() as tx:
            gold_runs.keep_identities(tx, waiting, now)
            gold_runs.keep_answers(tx, drawn, now)
            policies = self._policies_of(tx, samples, now)
            keys = route.commit_verdicts(tx, samples, policies, self.routing, now).test_keys
            judging.cache_scores(tx, samples, now)
            judging.count_failures(tx, waiting, now)
        self.policies = policies  # only now: what a lost transaction wrote is not there
        return keys

    def _policies_of(self, tx: Transaction, waiting: list[Verdict], now: Micros) -> dict[str, Policy]:
        """One snapshot per intent and bundle, read before the bundle's first verdict of that intent is written."""
        ids = sorted(verdict.request_id for verdict in waiting)
        intents = {row["intent"] for row in tx.rows_in("samples_to_freeze", "ids", ids)}
        missing = sorted(intents - self.policies.keys())
        return self.policies | policy.refresh(tx, [self.settings.config.objective(name) for name in missing], now)


class Act(StoreDoFn):
    """Decides every test whose evidence is ahead of its decision, then delivers what is due.

    A stream on a backlog has many bundles in a tick, and acts once in each tick: the next one finds what waits.
    """

    def process(self, _cause: Any) -> None:
        """What comes in only says that there may be something to decide."""

    def finish_bundle(self) -> None:
        stream = self.settings.config.stream
        if not self.settings.stream or self.presence.is_time_to_act(stream.tick_seconds / 2):
            retry_conflicts(act, self.store, self.settings.config, self.clock)
