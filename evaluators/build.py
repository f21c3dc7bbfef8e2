"""The cascade of a configuration."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from evaluators.base import AskingEvaluator, OfflineEvaluator
from evaluators.cascade import Cascade, Step
from evaluators.groundedness.model import Groundedness
from evaluators.heuristics import Overlap
from evaluators.injection import Injection
from evaluators.judge import Judge
from evaluators.panel import Panel, Repeated
from evaluators.plugins import own_evaluators
from evaluators.rubric import Rubric, load_rubric
from evaluators.rules import Rules
from tidegauge.config import Config, JudgeSection
from tidegauge.domain import HALLUCINATION, Calibration, CapabilityMemory, Spending, Value, VerdictCache
from tidegauge.errors import ConfigError
from tidegauge.prices import Prices
from tidegauge.spelling import nearest

OFFLINE: Mapping[str, Callable[[], OfflineEvaluator]] = {
    "rules": Rules,
    "overlap": Overlap,
    "groundedness": Groundedness,
}
"""The shipped evaluators that ask nobody, by the name that the configuration knows them by."""


class Services(Value, frozen=True, kw_only=True):
    """What evaluators need of the store. The defaults are those of a file that is evaluated without one."""

    cache: VerdictCache | None = None
    calibration: Calibration | None = None
    memory: CapabilityMemory | None = None
    spending: Callable[[str], Spending] | None = None
    """Budgets by the judge's name."""


def build_cascade(config: Config, services: Services | None = None) -> Cascade:
    """The steps that a configuration names. Judges take part where they have an endpoint. Raises ConfigError."""
    services = services or Services()
    makers: Mapping[str, Callable[[], OfflineEvaluator]] = {**OFFLINE, **own_evaluators(config)}
    offline: list[Step] = []
    judges: list[Step] = []
    for wanted in config.evaluation.steps:
        if wanted.name in makers:
            if judges:
                raise ConfigError(f"evaluation.evaluators: {wanted.name} stands behind a judge, which is dearer")
            evaluator: OfflineEvaluator | AskingEvaluator = makers[wanted.name]()
            kept = offline
        else:
            section = judge_section(config, wanted.name)
            if not section.on:
                continue
            evaluator, kept = build_judge(config, wanted.name, services), judges
            for rubric in getattr(evaluator, "rubrics", ()):
                measures_hallucination(f"{wanted.name}.rubric", rubric)
        kept.append(Step(evaluator=evaluator, stop_below=wanted.stop_below, stop_above=wanted.stop_above))
    if not offline:
        raise ConfigError(f"evaluation.evaluators: name at least one of {', '.join(OFFLINE)}")
    names = [step.name for step in config.evaluation.steps]
    if len(set(names)) < len(names):
        raise ConfigError("evaluation.evaluators: an evaluator is named twice")
    return Cascade(offline, judges, guard=Injection(), cache=services.cache, calibration=services.calibration)


def build_further(config: Config, services: Services | None = None) -> dict[str, Cascade]:
    """A cascade of one judge for each further indicator. Raises ConfigError."""
    services = services or Services()
    found = {}
    for indicator, name in config.evaluation.indicators.items():
        judge = build_judge(config, name, services)
        for rubric in getattr(judge, "rubrics", ()):
            if rubric.indicator != indicator:
                raise ConfigError(
                    f"evaluation.indicators: {indicator}: the rubric of {name}, {rubric.reference}, "
                    f"measures {rubric.indicator}"
                )
        found[indicator] = Cascade(
            (), [Step(evaluator=judge)], guard=Injection(), cache=services.cache, indicator=indicator
        )
    return found


def judge_section(config: Config, name: str) -> JudgeSection:
    """The judge of that name. Raises ConfigError."""
    if name == "judge":
        return config.judge
    if name in config.judges:
        return config.judges[name]
    known = [*OFFLINE, "judge", *config.judges]
    near = nearest(name, known, cutoff=0.6)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
    raise ConfigError(f"evaluation.evaluators: there is no evaluator {name!r}; {hint}")


def build_judge(
    config: Config, name: str, services: Services | None = None, *, everybody: bool = False
) -> AskingEvaluator:
    """One judge, or panel of judges, by its name. Raises ConfigError.

    `everybody`: none of several opinions may be missing for want of an answer; in production a majority is enough.
    """
    services = services or Services()
    section = judge_section(config, name)
    if section.panel:
        members = [build_judge(config, member, services, everybody=everybody) for member in section.panel]
        return Panel(name, members, everybody=everybody)
    judge = Judge(
        name,
        section,
        load_rubric(section.rubric, Path(config.rubrics)),
        prices=Prices(config.prices),
        spending=services.spending(name) if services.spending else None,
        memory=services.memory,
    )
    if section.votes == 1:
        return judge
    return Repeated(judge, section.votes, (section.uncertain[0], section.uncertain[1]), everybody=everybody)


def with_rubric(config: Config, name: str, rubric: str) -> Config:
    """The configuration with a judge, or every member of a panel, held to another rubric."""
    section = judge_section(config, name)
    for member in section.panel:
        config = with_rubric(config, member, rubric)
    changed = msgspec.structs.replace(section, rubric=rubric)
    if name == "judge":
        return msgspec.structs.replace(config, judge=changed)
    return msgspec.structs.replace(config, judges={**config.judges, name: changed})


def measures_hallucination(who: str, rubric: Rubric) -> None:
    """Raises ConfigError, by what `who` names, where the rubric measures something else."""
    if rubric.indicator != HALLUCINATION:
        raise ConfigError(
            f"{who}: {rubric.reference} measures {rubric.indicator}, not {HALLUCINATION}; "
            "name a judge with it under evaluation.indicators instead"
        )
