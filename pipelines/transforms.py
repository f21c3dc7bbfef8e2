"""The Beam transforms. One class per noun; what must be right is in the store, never in runner state.

Every DoFn opens the store by its URL in `setup`. Failures are values: nothing here raises for a bad line, a changed
file or a silent judge.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from evaluators.build import build_cascade, build_further
from evaluators.window import JudgeWindow
from pipelines.sampling import Sampler
from pipelines.scan import Scanner
from pipelines.sources.build import Sources
from pipelines.sources.source import Planning
from tidegauge.alerts.act import act
from tidegauge.config import Config, SourceSection
from tidegauge.domain import HALLUCINATION, Clock, Micros, Sample, Verdict
from tidegauge.errors import SourceChanged, SourceError, SourceUnfinished
from tidegauge.prices import Prices
from tidegauge.service import calibration, gold_runs, interlock, policy, route, tickets
from tidegauge.service.judging import StoreServices
from tidegauge.service.policy import Policy
from tidegauge.storage import commits, judging, ledger, sampling
from tidegauge.storage.commits import BlockResult, Commit
from tidegauge.storage.ledger import Claim, Claimed
from tidegauge.storage.store import Store, Transaction, retry_conflicts

SWEEP_PORTION = 2_000
VERDICTS_A_COMMIT = 500
USUAL_RATE = 0.02
MOST_PORTIONS = 4


class Tick(msgspec.Struct, frozen=True):
    """A time to look: who works, for which sweep, and up to which plan."""

    owner: str
    sweep: str
    planned_by: Micros


class Settings(msgspec.Struct, frozen=True):
    """What the transforms need to know; travels to the workers."""

    config: Config
    sources: tuple[SourceSection, ...]
    sampling_key: bytes
    clock: Any
    final: bool = False


class StoreDoFn(beam.DoFn):
    """A DoFn with the store open."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def setup(self) -> None:
        self.store = Store(self.settings.config.store.url)

    def teardown(self) -> None:
        self.store.close()

    @property
    def clock(self) -> Clock:
        clock: Clock = self.settings.clock
        return clock

    def claim(self, tick: Tick, take: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
        """Takes work for the tick's owner that nobody alive is at."""

        def attempt() -> list[Any]:
            with self.store.write() as tx:
                live = ledger.live_owners(tx, self.clock.now())
                return take(tx, Claim(tick.owner, tick.sweep, live), *arguments)

        return retry_conflicts(attempt)


class Plan(StoreDoFn):
    """tick → blocks to work on. The ledger has them before anything is read."""

    def setup(self) -> None:
        super().setup()
        self.sources = Sources(self.settings.sources)

    def teardown(self) -> None:
        self.sources.close()
        super().teardown()

    def process(self, tick: Tick) -> Iterator[tuple[Tick, Claimed]]:
        job = self.settings.config.job
        self.sources.plan(self.store, self.clock, Planning(job.block_bytes, self.settings.final))
        planned_by = tick.planned_by or self.clock.now()
        for claimed in self.claim(tick, ledger.claim_blocks, planned_by, self._portion(job.portion_blocks)):
            yield tick, claimed

    def _portion(self, blocks: int) -> int:
        """Blocks of a tick: what is held until its end are samples, and each tick ends with a wait for the judge."""
        with self.store.read() as tx:
            rate = max((plan.rate for plan in sampling.plans(tx)), default=1.0)
        return round(blocks * min(max(USUAL_RATE / rate if rate else MOST_PORTIONS, 1), MOST_PORTIONS))


class Read(StoreDoFn):
    """block → fresh samples; tick → samples still pending from earlier. All else in a block is committed on the way.

    Both come from one transform, so that they are judged in one window while the next blocks are scanned.
    """

    def setup(self) -> None:
        super().setup()
        config = self.settings.config
        self.sources = Sources(self.settings.sources)
        self.scanner = Scanner(Prices(config.prices), config.job.oldest_days)
        self.known: set[int] = set()
        self.asks = any(judge.on for judge in (config.judge, *config.judges.values()))

    def process(self, element: tuple[Tick, Claimed | None]) -> Iterable[Sample]:
        tick, claimed = element
        if claimed is None:
            return [*self.claim(tick, ledger.claim_samples, SWEEP_PORTION), *self._gold()]
        try:
            return self._scan_and_commit(tick, claimed)
        except SourceUnfinished as error:
            self._leave_unfinished(tick, claimed, str(error))
        except SourceChanged as error:
            self._release(tick, claimed, str(error), sweep="")  # the planner will find or retire it
        except SourceError as error:
            self._release(tick, claimed, str(error), sweep=tick.sweep)
        return ()

    def _gold(self) -> list[Sample]:
        """Cases with known labels that are due, among the samples, so that judges cannot tell them apart."""
        per_day = self.settings.config.gold.per_day
        if not self.asks or not per_day:
            return []
        with self.store.write() as tx:
            drawn = gold_runs.draw(tx, per_day, self.clock.now())
        return [Sample(request=request, pi1=1.0, plan=0, sha256="") for request in drawn]

    def _scan_and_commit(self, tick: Tick, claimed: Claimed) -> Iterable[Sample]:
        block = claimed.block
        while True:
            with self.store.read() as tx:
                sampler = Sampler(sampling.plans(tx), self.settings.sampling_key)
            result = self.scanner.scan(self.sources.of(block).read(claimed), block.planned_at, sampler)
            outcome, fresh = retry_conflicts(self._commit, tick, claimed, result)
            if outcome is Commit.WON:
                self.known |= result.rollup.segments.keys() | result.rollup.accounts.keys()
            if outcome is not Commit.STALE:
                return [s for s in result.samples if s.request.request_id in fresh]

    def _commit(self, tick: Tick, claimed: Claimed, result: BlockResult) -> tuple[Commit, set[str]]:
        with self.store.write() as tx:
            now = self.clock.now()
            return commits.commit_block(tx, claimed.block, result, tick.owner, tick.sweep, now, self.known)

    def _release(self, tick: Tick, claimed: Claimed, reason: str, sweep: str) -> None:
        with self.store.write() as tx:
            ledger.release_block(tx, claimed.block, tick.owner, reason, sweep)

    def _leave_unfinished(self, tick: Tick, claimed: Claimed, reason: str) -> None:
        """A compressed file that is still being written is read when it has grown; one at rest is lost."""
        block, now = claimed.block, self.clock.now()
        if not self.settings.final and not self.sources.of(block).at_rest(block, now):
            self._release(tick, claimed, reason, sweep=tick.sweep)
            return
        with self.store.write() as tx:
            lost = ledger.retire(tx, block.generation, reason, now)
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
    """sample → its verdicts, in a window of calls that slides across elements and is drained at the bundle's end."""

    def setup(self) -> None:
        super().setup()
        config = self.settings.config
        self.shared = StoreServices(self.store, config, self.clock)
        services = self.shared.services()
        self.cascade = build_cascade(config, services)
        self.window = JudgeWindow(self.cascade)
        self.further = {name: JudgeWindow(cascade) for name, cascade in build_further(config, services).items()}
        self.expected: dict[str, int] = {}
        self.parts: dict[str, list[Verdict]] = {}

    def start_bundle(self) -> None:
        with self.store.read() as tx:
            trusted = not interlock.distrusted(tx)
        self.cascade.calibration = None
        if self.cascade.has_bands and trusted:
            everybody = (*self.cascade.evaluators, *self.cascade.judges)
            theta0 = self.settings.config.objective("*").theta0
            self.cascade.calibration = calibration.refresh(self.store, everybody, theta0, self.clock.now())

    def process(self, sample: Sample) -> Iterable[tuple[Verdict, ...]]:
        request = sample.request
        is_gold = request.request_id.startswith(gold_runs.MARK)
        config = self.settings.config
        others = [] if is_gold else [n for n in self.further if config.judged_objective(n, request.intent) is not None]
        if others:
            self.expected[request.request_id] = 1 + len(others)
        self.window.submit(request, everyone=is_gold)
        for name in others:
            self.further[name].submit(request)
        return self._together(self.window.finished(), *(other.finished() for other in self.further.values()))

    def _together(self, *found: list[Verdict]) -> list[tuple[Verdict, ...]]:
        """Verdicts of all indicators of a sample travel together, its own first."""
        whole = []
        for verdict in (one for verdicts in found for one in verdicts):
            name = verdict.request_id
            parts = self.parts.setdefault(name, [])
            parts.append(verdict)
            if len(parts) == self.expected.get(name, 1):
                whole.append(tuple(sorted(self.parts.pop(name), key=lambda v: v.indicator != HALLUCINATION)))
                self.expected.pop(name, None)
        return whole

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        drained = (self.window.drain(), *(other.drain() for other in self.further.values()))
        for verdicts in self._together(*drained):
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
            self.settings.sampling_key, config.objective, config.review.due_hours, config.judged_objective
        )

    def start_bundle(self) -> None:
        self.waiting: list[Verdict] = []
        self.policies: dict[str, Policy] = {}

    def process(self, verdicts: tuple[Verdict, ...]) -> Iterator[str]:
        self.waiting += verdicts
        if len(self.waiting) >= VERDICTS_A_COMMIT:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for key in self._flush():
            yield WindowedValue(key, window.max_timestamp(), (window,))

    def _flush(self) -> Iterable[str]:
        waiting, self.waiting = self.waiting, []
        return retry_conflicts(self._write, waiting) if waiting else ()

    def _write(self, waiting: list[Verdict]) -> set[str]:
        now = self.clock.now()
        samples, drawn = gold_runs.split(waiting)
        with self.store.write() as tx:
            gold_runs.keep_identities(tx, waiting, now)
            gold_runs.keep_answers(tx, drawn, now)
            self._read_policies(tx, samples, now)
            keys = route.commit_verdicts(tx, samples, self.policies, self.routing, now).test_keys
            judging.cache_scores(tx, samples, now)
            return keys

    def _read_policies(self, tx: Transaction, waiting: list[Verdict], now: Micros) -> None:
        """One snapshot per intent and bundle, read before the bundle's first verdict of that intent is written."""
        ids = sorted(verdict.request_id for verdict in waiting)
        intents = {row["intent"] for row in tx.rows_in("samples_to_freeze", "ids", ids)}
        missing = sorted(intents - self.policies.keys())
        if missing:
            self.policies |= policy.refresh(tx, [self.settings.config.objective(name) for name in missing], now)


class Act(StoreDoFn):
    """Decides every test whose evidence is ahead of its decision, then delivers what is due."""

    def process(self, _cause: Any) -> None:
        """What comes in only says that there may be something to decide."""

    def finish_bundle(self) -> None:
        act(self.store, self.settings.config, self.clock)
