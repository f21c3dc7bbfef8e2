"""tidegauge.yaml as frozen values. It is read by `tidegauge.config_load.load`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tidegauge.config_numbers import AboveZero, NotNegative, Positive, Rate, Share
from tidegauge.config_sources import SourceSection
from tidegauge.domain import HALLUCINATION, Objective
from tidegauge.openslo import Slo, slug
from tidegauge.openslo.objectives import RISKS


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the sections; an unknown key is an error."""


class StoreSection(Section, frozen=True, kw_only=True):
    """Where everything is kept. All but the URL and the retention is for PostgreSQL; 0 is no timeout."""

    url: str = "sqlite:///tidegauge.db"
    pool_size: Annotated[int, msgspec.Meta(ge=2)] = 4
    """Connections of a process at most."""
    connect_timeout_seconds: Positive = 10
    statement_timeout_seconds: NotNegative = 60.0
    lock_timeout_seconds: NotNegative = 30.0
    idle_in_transaction_seconds: NotNegative = 300.0
    outage_seconds: NotNegative = 120.0
    """How long a job waits for a server that was there before."""
    prepared_statements: bool = True
    """Off behind a pooler that hands out connections by transaction and does not know them."""
    retention_days: Positive | None = None
    """Texts that are older are removed once a day; they are kept for ever by default."""
    rollup_days: Positive | None = None
    """Older five-minute rollups are removed, too, but for what the window of an objective still needs."""


class SamplingSection(Section, frozen=True, kw_only=True):
    rate: Rate = 0.02
    escalate: bool = True
    """Where evidence is wanted, sample that deployment of that intent five times as much meanwhile."""


class IntentSection(Section, frozen=True, kw_only=True):
    objective: Share | None = None
    risk: Literal["normal", "high"] = "normal"
    owner: str = "platform"


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class ShiftSection(Section, frozen=True, kw_only=True):
    """Who is on call at some hours of some days, in the owner's time zone."""

    contacts_env: str
    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    hours: str = "00:00-24:00"
    """May end on the next day, such as 22:00-06:00; a shift belongs to the day that it begins on."""


class OwnerSection(Section, frozen=True, kw_only=True):
    """Who is told. Contacts are apprise URLs and secrets: the file names the environment variable that holds them."""

    contacts_env: str | None = None
    on_call: tuple[ShiftSection, ...] = ()
    """Pages go to the first shift that is on duty, else to `contacts_env`; tickets always to `contacts_env`."""
    timezone: str = "UTC"
    quiet_hours: str | None = None
    """Hours in which tickets wait, such as 22:00-07:00; pages never do."""
    pages_per_hour: Positive = 12
    tickets_per_hour: Positive = 2


class EndpointSection(Section, frozen=True, kw_only=True):
    """One place to ask."""

    base_url: str
    model: str
    api_key_env: str = "TIDEGAUGE_JUDGE_API_KEY"
    """Name of the environment variable with the key."""


class BudgetSection(Section, frozen=True, kw_only=True):
    """What a judge may use in a UTC day, over all workers; no limit where nothing is said."""

    usd_per_day: NotNegative | None = None
    calls_per_day: NotNegative | None = None
    tokens_per_day: NotNegative | None = None


class JudgeSection(Section, frozen=True, kw_only=True):
    """A judge: on when base_url, or a panel, is set; the key comes from TIDEGAUGE_JUDGE_API_KEY."""

    base_url: str | None = None
    model: str = ""
    api_key_env: str = "TIDEGAUGE_JUDGE_API_KEY"
    rubric: str = "hallucination@1.0.0"
    concurrency: Positive = 64
    """Calls in flight at most; it adapts below."""
    timeout_seconds: NotNegative = 30.0
    """For one call; one that takes longer is abandoned."""
    cutoff_seconds: NotNegative | None = None
    """After so long without an answer the next endpoint is asked."""
    fallbacks: tuple[EndpointSection, ...] = ()
    """Asked in turn where the one before is slow, down or wrong."""
    requests_per_minute: NotNegative | None = None
    tokens_per_minute: NotNegative | None = None
    max_output_tokens: Positive = 1024
    hedge_seconds: NotNegative | None = None
    """Off. Otherwise: a second call is made when the first has not answered by then, and the first answer counts."""
    budget: BudgetSection = BudgetSection()
    panel: tuple[str, ...] = ()
    """Names of judges that vote; the majority's label, their mean score."""
    votes: Positive = 1
    """How often it is asked where its score lies within `uncertain`."""
    uncertain: tuple[Rate, ...] = (0.3, 0.7)
    owner: str = "platform"
    """Who is told when it changes."""

    @property
    def on(self) -> bool:
        return self.base_url is not None or bool(self.panel)


class PriceSection(Section, frozen=True, kw_only=True, rename={"valid_from": "from"}):
    model: str
    input_per_million: NotNegative
    output_per_million: NotNegative
    valid_from: str = "1970-01-01"


class ReviewSection(Section, frozen=True, kw_only=True):
    labels_per_day: NotNegative = 20
    confirmations: Positive = 1
    false_positive_rate: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    due_hours: NotNegative = 48.0


class GoldSection(Section, frozen=True, kw_only=True):
    per_day: NotNegative = 40
    """Cases with known labels that pass through the judges in a day."""


class WebhookSection(Section, frozen=True, kw_only=True):
    """Where rollbacks go; the secret comes from TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET (whsec_…)."""

    url: str | None = None


Mode = Literal["dry_run", "approve", "auto"]


class RollbackSection(Section, frozen=True, kw_only=True):
    mode: Mode = "dry_run"
    intents: dict[str, Mode] = {}
    """Another mode for some intents."""
    webhook: WebhookSection = WebhookSection()
    approval_hours: NotNegative = 24.0
    """A rollback that was neither approved nor sent by then has failed, and somebody is told."""
    cool_down_hours: NotNegative = 6.0
    """Between two rollbacks of one intent."""
    most_per_day: Positive = 3
    verify_minutes: NotNegative = 60.0
    """Event time in which the traffic has to leave after the receiver said yes."""
    verify_share: Rate = 0.05
    """Share of the intent's requests below which it has left."""
    dead_letter_hours: NotNegative = 24.0
    """A webhook that could not be delivered for so long is given up."""
    link: str | None = None
    """Where people read about an incident; `{incident}` is replaced by its id."""

    def mode_of(self, intent: str) -> Mode:
        return self.intents.get(intent, self.mode)


class MatchSection(Section, frozen=True, kw_only=True):
    """Traffic by its segment; what is not said may be anything."""

    cohort: str | None = None
    experiment: str | None = None
    feature: str | None = None
    model_version: str | None = None
    prompt_version: str | None = None
    retrieval_index: str | None = None


class CanarySection(Section, frozen=True, kw_only=True):
    """A canary and what must not become worse by it."""

    name: str
    canary: MatchSection
    control: MatchSection | None = None
    """All other traffic where nothing is said."""
    intent: str = "*"
    latency_ms: NotNegative = 120.0
    """Of the 95th percentile."""
    success_drop: Rate = 0.05
    """Of the share of requests that are ok, no fallback and without a thumb down."""
    alpha: Share = 0.001
    """Chance that a canary that is no worse is shifted back."""
    owner: str = "platform"


class StepSection(Section, frozen=True, kw_only=True):
    """A step of the cascade that may end it: where its calibrated P(hallucinated) is outside a band."""

    name: str
    stop_below: Rate | None = None
    stop_above: Rate | None = None


class EvaluationSection(Section, frozen=True, kw_only=True):
    evaluators: tuple[str | StepSection, ...] = ("rules", "overlap", "judge")
    """The cascade, cheap to dear: names, or names with a rule for when to stop."""
    plugins: tuple[str, ...] = ()
    """The user's own evaluators, as MODULE:NAME; they are known by their names."""
    indicators: dict[str, str] = {}
    """The judge of each further indicator, by its name in `judges`; asked where the intent has an objective for it."""

    @property
    def steps(self) -> tuple[StepSection, ...]:
        return tuple(StepSection(name=e) if isinstance(e, str) else e for e in self.evaluators)


class JobSection(Section, frozen=True, kw_only=True):
    block_bytes: Positive = 64 << 20
    portion_blocks: Positive = 5
    """Blocks of a tick where 2 % or more are sampled; up to eight times as many where fewer are."""
    oldest_days: NotNegative | None = None
    """Records older than this, measured from the block's planning, are quarantined; no limit by default."""


class TelemetrySection(Section, frozen=True, kw_only=True):
    """Where verdicts go as OpenTelemetry events; nothing leaves while no endpoint is set."""

    otlp_endpoint: str | None = None
    """Base URL of an OTLP/HTTP collector; /v1/logs is added."""
    service_name: str = "tidegauge"
    timeout_seconds: NotNegative = 5.0


class PrismSection(Section, frozen=True, kw_only=True):
    location: str | None = None
    """The program `prism`; by default on PATH or where `tidegauge engine install` puts it."""


class FlinkSection(Section, frozen=True, kw_only=True):
    """A Flink cluster behind a Beam job server, and how its workers get Python."""

    job_endpoint: str = "127.0.0.1:8099"
    artifact_endpoint: str | None = None
    """Of the job server; what it says of itself by default."""
    rest: str | None = None
    """Flink's own address, http://HOST:8081, by which a job is cancelled: the job server leaves it running."""
    parallelism: Positive = 1
    checkpoint_seconds: AboveZero = 1.0
    environment: Literal["loopback", "external", "process", "docker"] = "loopback"
    environment_config: str | None = None
    """Address of the worker pool, command of the process (by default the `tidegauge-worker` here), container image."""


class StreamSection(Section, frozen=True, kw_only=True):
    """`tidegauge stream`: how often it looks, how much is in work at once, and what it runs on."""

    tick_seconds: AboveZero = 1.0
    in_flight_blocks: Positive = 16
    """Blocks claimed and not committed yet, over all workers; the rest stays planned, and shows as lag."""
    in_flight_samples: Positive = 2048
    """Samples in the judges' hands, over all workers; the rest stays pending."""
    pending_order: Literal["oldest", "newest"] = "oldest"
    """Which pending samples are judged first when the judge is slower than the log."""
    shed_after_hours: NotNegative | None = None
    """Samples pending for longer keep the cheaper steps' verdict, as when a budget is spent; never by default."""
    drain_seconds: NotNegative = 60.0
    """How long SIGTERM waits for what is in work; what is not done by then is done by the next job."""
    prism: PrismSection = PrismSection()
    flink: FlinkSection = FlinkSection()
    options: tuple[str, ...] = ()
    """Further Beam options, passed on as they are."""


DEFAULT_OBJECTIVE = 0.03


class Config(Section, frozen=True, kw_only=True):
    store: StoreSection = StoreSection()
    sources: tuple[SourceSection, ...] = ()
    sampling: SamplingSection = SamplingSection()
    intents: dict[str, IntentSection] = {}
    owners: dict[str, OwnerSection] = {}
    evaluation: EvaluationSection = EvaluationSection()
    judge: JudgeSection = JudgeSection()
    """The judge that is called `judge`."""
    judges: dict[str, JudgeSection] = {}
    """Further judges, by name."""
    rubrics: str = "rubrics"
    """Folder of the user's own rubrics, NAME/VERSION.yaml; the shipped ones are known anyway."""
    prices: tuple[PriceSection, ...] = ()
    review: ReviewSection = ReviewSection()
    gold: GoldSection = GoldSection()
    rollback: RollbackSection = RollbackSection()
    canaries: tuple[CanarySection, ...] = ()
    job: JobSection = JobSection()
    stream: StreamSection = StreamSection()
    objectives: tuple[str, ...] = ()
    """OpenSLO files by glob; what they say wins over `intents`."""
    telemetry: TelemetrySection = TelemetrySection()
    slos: tuple[Slo, ...] = ()
    """What the files of `objectives` say. Not a key of the file."""
    directory: Path = Path(".")
    """Where the file lies; relative paths are relative to it. Not a key of the file."""

    @property
    def judges_on(self) -> frozenset[str]:
        """Names of the judges that may be asked."""
        return frozenset(name for name, judge in {"judge": self.judge, **self.judges}.items() if judge.on)

    def judge_owner(self, name: str) -> str:
        """Who owns a judge; one that is not configured any more is the platform's."""
        return self.judge.owner if name == "judge" else self.judges.get(name, JudgeSection()).owner

    def objective(self, intent: str) -> Objective:
        """The hallucination objective of an intent; an intent that is not named gets "*"."""
        slo = self.slo(HALLUCINATION, intent)
        assert slo is not None
        return Objective(
            indicator=HALLUCINATION,
            intent=intent,
            theta0=slo.allowed,
            risk=slo.risk,
            owner=slo.owner or self._section(intent).owner,
            labels_per_day=self.review.labels_per_day,
            confirmations=self.review.confirmations,
            false_positive_rate=self.review.false_positive_rate,
            window=slo.window.text,
        )

    def judged_objective(self, indicator: str, intent: str) -> Objective | None:
        """The objective of a judged indicator; None where the intent has none, and then nobody is asked."""
        if indicator == HALLUCINATION:
            return self.objective(intent)
        slo = self.slo(indicator, intent) if indicator in self.evaluation.indicators else None
        if slo is None:
            return None
        review = self.review
        return msgspec.structs.replace(
            self.as_objective(slo),
            labels_per_day=review.labels_per_day,
            confirmations=review.confirmations,
            false_positive_rate=review.false_positive_rate,
        )

    def slo(self, indicator: str, intent: str) -> Slo | None:
        """The objective of an indicator and an intent; the more specific one wins, then the file over `intents`.

        For hallucination there always is one, by default 3 %; at most as much as the risk class allows.
        """
        given = {slo.intent: slo for slo in self.slos if slo.indicator == indicator}
        own = self.intents.get(intent)
        if intent in given:
            return given[intent]
        specific = own is not None and intent != "*" and indicator == HALLUCINATION
        stated = own.objective if own is not None and specific else None
        if "*" in given and stated is None:
            general = given["*"]
            return msgspec.structs.replace(general, intent=intent, name=slug(f"{general.name}-{intent}"))
        if indicator != HALLUCINATION:
            return None
        section, usual = self._section(intent), self.intents.get("*", IntentSection()).objective
        inherited = min(DEFAULT_OBJECTIVE if usual is None else usual, RISKS[section.risk])
        allowed = inherited if stated is None else stated
        return Slo(
            name=slug(f"{intent}-{indicator}"), intent=intent, allowed=allowed, risk=section.risk, owner=section.owner
        )

    def _section(self, intent: str) -> IntentSection:
        return self.intents.get(intent, self.intents.get("*", IntentSection()))

    def counted(self, intents: Iterable[str]) -> list[Slo]:
        """Objectives of the other indicators, for every intent that has traffic."""
        indicators = dict.fromkeys(slo.indicator for slo in self.slos if slo.indicator != HALLUCINATION)
        found = (self.slo(indicator, intent) for indicator in indicators for intent in intents)
        return [slo for slo in found if slo is not None]

    def as_objective(self, slo: Slo) -> Objective:
        """An objective as it is stored."""
        return Objective(
            indicator=slo.indicator,
            intent=slo.intent,
            theta0=slo.allowed,
            risk=slo.risk,
            owner=slo.owner or self._section(slo.intent).owner,
            window=slo.window.text,
            threshold_ms=slo.threshold_ms,
        )
