"""tidegauge.yaml as frozen values. It is read by `tidegauge.config_load.load`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tidegauge.domain import HALLUCINATION, Objective
from tidegauge.openslo import Slo, slug
from tidegauge.openslo.objectives import RISKS

Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the sections; an unknown key is an error."""


class StoreSection(Section, frozen=True, kw_only=True):
    url: str = "sqlite:///tidegauge.db"


class SourceSection(Section, frozen=True, kw_only=True):
    """Local files by glob, .jsonl and .jsonl.gz."""

    files: str


class SamplingSection(Section, frozen=True, kw_only=True):
    rate: Rate = 0.02


class IntentSection(Section, frozen=True, kw_only=True):
    objective: Rate | None = None
    risk: Literal["normal", "high"] = "normal"
    owner: str = "platform"


class OwnerSection(Section, frozen=True, kw_only=True):
    contacts_env: str | None = None


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
    false_positive_rate: Rate = 0.0
    due_hours: NotNegative = 48.0


class WebhookSection(Section, frozen=True, kw_only=True):
    """Where rollbacks go; the secret comes from TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET (whsec_…)."""

    url: str | None = None


class RollbackSection(Section, frozen=True, kw_only=True):
    mode: Literal["dry_run", "approve", "auto"] = "dry_run"
    webhook: WebhookSection = WebhookSection()


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

    @property
    def steps(self) -> tuple[StepSection, ...]:
        return tuple(StepSection(name=e) if isinstance(e, str) else e for e in self.evaluators)


class JobSection(Section, frozen=True, kw_only=True):
    block_bytes: Positive = 64 << 20
    portion_blocks: Positive = 5
    oldest_days: NotNegative | None = None
    """Records older than this, measured from the block's planning, are quarantined; no limit by default."""


class TelemetrySection(Section, frozen=True, kw_only=True):
    """Where verdicts go as OpenTelemetry events; nothing leaves while no endpoint is set."""

    otlp_endpoint: str | None = None
    """Base URL of an OTLP/HTTP collector; /v1/logs is added."""
    service_name: str = "tidegauge"
    timeout_seconds: NotNegative = 5.0


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
    rollback: RollbackSection = RollbackSection()
    job: JobSection = JobSection()
    objectives: tuple[str, ...] = ()
    """OpenSLO files by glob; what they say wins over `intents`."""
    telemetry: TelemetrySection = TelemetrySection()
    slos: tuple[Slo, ...] = ()
    """What the files of `objectives` say. Not a key of the file."""
    directory: Path = Path(".")
    """Where the file lies; relative paths are relative to it. Not a key of the file."""

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
