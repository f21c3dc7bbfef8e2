"""`tidegauge check`: every artifact is read once, and what is on is said."""

import glob
import os
from collections.abc import Iterator, Mapping

from tidegauge.commands.context import Context, note
from tidegauge.commands.first_lines import folder, no_file, tried, unreadable
from tidegauge.config import Config
from tidegauge.config_load import misspelt, sqlite_file
from tidegauge.config_sources import SourceSection
from tidegauge.domain import HALLUCINATION
from tidegauge.errors import ConfigError, ObjectivesInvalid, StoreError
from tidegauge.openslo import JUDGED
from tidegauge.service.masking import mask
from tidegauge.service.words import plain

_NAMED = 3
"""Files that cannot be read that are named, of each source."""


def run(context: Context) -> int:
    from evaluators.build import build_cascade, build_further
    from pipelines.sources.build import check_sources

    try:
        config = context.config()
    except ObjectivesInvalid as error:
        for problem in error.problems:
            note(f"tidegauge: {problem}")
        return error.exit_code
    build_cascade(config)
    build_further(config)
    check_sources(config.sources, context.environ)
    unsigned = unsignable(config, context.environ)
    for line in describe(config, unsigned):
        print(line)
    fits = [try_lines(source) for source in config.sources]
    owners = (*unlisted_owners(config), *silent_owners(config, context.environ))
    for line in (*warnings(config), *owners, *of_the_store(context, config)):
        note(f"warning: {line}")
    for name, meant in misspelt(context.environ).items():
        note(f"warning: environment: nobody reads {name}; did you mean {meant}?")
    if unsigned:
        note(f"tidegauge: {unsigned}")
        return ConfigError.exit_code
    return 0 if all(fits) else 1


def unsignable(config: Config, environ: Mapping[str, str]) -> str:
    """Why no rollback could be sent although some are to be; empty where that is not so."""
    from tidegauge.alerts.webhook import SECRET, unusable

    wanted = {config.rollback.mode, *config.rollback.intents.values()} != {"dry_run"}
    return unusable(environ.get(SECRET)) if wanted else ""


def try_lines(source: SourceSection) -> bool:
    """Says how many of the first lines of a log fit, and what cannot be read; False where none fits, or one cannot."""
    if problem := folder(source.files or ""):
        note(f"tidegauge: sources: {problem}")
        return False
    denied = unreadable(source)
    for path, why in list(denied.items())[:_NAMED]:
        note(f"tidegauge: {path}: cannot be read: {why}")
    if len(denied) > _NAMED:
        note(f"tidegauge: {source.files}: {len(denied) - _NAMED} more files cannot be read")
    found = tried(source, denied)
    if found is None or not found.lines:
        return not denied
    print(f"lines      {found.path}: {found.fit} of the first {found.lines} fit")
    for reason, count in found.reasons[:3]:
        said = f"{found.path}: {count} of {found.lines} lines: {mask(plain(reason))}"
        note(f"{'warning' if found.fit else 'tidegauge'}: {said}")
    if found.fit < found.lines:
        note("docs/request-log.md has every field")
    return found.fit > 0 and not denied


def of_the_store(context: Context, config: Config) -> Iterator[str]:
    """What a store that is there says otherwise; nothing is made or written."""
    from pipelines.sampling import other_rate
    from tidegauge.storage.migrations import is_made
    from tidegauge.storage.sampling import plans
    from tidegauge.storage.store import Store

    url = context.store_url()
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return
    try:
        store = Store(url, config.store, context.args.module)
        try:
            with store.read() as tx:
                differs = other_rate(plans(tx), config.sampling.rate) if is_made(tx) else ""
        finally:
            store.close()
    except StoreError as error:
        differs = str(error)
    if differs:
        yield differs


def describe(config: Config, unsigned: str) -> Iterator[str]:
    """What is on; `unsigned` says why no rollback could be sent."""
    for source in config.sources:
        yield f"source     {_shown(source)}"
    if not config.sources:
        yield "source     none; give --log GLOB to run"
    raised = "; five times as many where evidence is wanted" if config.sampling.escalate else ""
    yield f"sampling   {100 * config.sampling.rate:g} % of the requests{raised}"
    judges = {"judge": config.judge, **config.judges}
    yield f"evaluators {', '.join(step.name for step in config.evaluation.steps if step.name not in judges)}"
    names = [*(step.name for step in config.evaluation.steps), *config.evaluation.indicators.values()]
    asked = {name: judges[name] for name in names if name in judges and judges[name].on}
    for name, judge in asked.items():
        who = f"panel of {', '.join(judge.panel)}" if judge.panel else judge.model
        yield f"judge      {name}: {who} with {judge.rubric}"
    if not asked:
        yield "judge      off: heuristics alone decide"
    named = sorted({*config.intents, *(s.intent for s in config.slos if s.indicator == HALLUCINATION)} - {"*"})
    yield f"objective  {100 * config.objective('*').theta0:g} % by default" + "".join(
        f"; {name} {100 * config.objective(name).theta0:g} %" for name in named
    )
    for slo in config.slos:
        if slo.indicator != HALLUCINATION:
            unknown = slo.indicator in JUDGED and slo.indicator not in config.evaluation.indicators
            note_of = "; no judge measures it: name one under evaluation.indicators" if unknown else ""
            yield f"objective  {slo.indicator} of {slo.intent}: {100 * slo.allowed:g} % in {slo.window.text}{note_of}"
    yield f"review     {config.review.labels_per_day:g} labels a day and intent"
    where = "no usable TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET in the environment" if unsigned else "signed webhook"
    yield f"rollback   {config.rollback.mode}" + ("" if config.rollback.mode == "dry_run" else f", {where}")


def _shown(source: SourceSection) -> str:
    if source.files is None:
        return f"{', '.join(source.topic_names)} at {source.kafka}, as group {source.group}"
    if source.is_remote:
        return f"{source.files}: objects, looked for when the job runs"
    count = sum(os.path.isfile(path) for path in glob.glob(source.files, recursive=True))
    return f"{source.files}: {count} file{'' if count == 1 else 's'}"


def warnings(config: Config) -> Iterator[str]:
    """What is allowed and probably not meant."""
    for source in config.sources:
        if (problem := no_file(source)) and not folder(source.files or ""):
            yield f"sources: {problem}"


def unlisted_owners(config: Config) -> Iterator[str]:
    """Owners that something has and that have no contacts: their notices go to the fallback, or to nobody."""
    from tidegauge.alerts.notices import FALLBACK

    if not config.owners:
        return
    listed, owned = ", ".join(sorted(config.owners)), list(_owned(config))
    if FALLBACK not in config.owners:
        its = [key.removesuffix(".owner") for key, owner in owned if owner == FALLBACK]
        what = ", ".join(["lost logs", "intents without an owner", *its])
        yield f"owners: {FALLBACK} is not among them, so nobody is told of its own: {what}"
    told = f"{FALLBACK if FALLBACK in config.owners else 'nobody'} is told"
    for key, owner in owned:
        if owner not in config.owners and owner != FALLBACK:
            yield f"{key}: {owner} is not among the owners: {listed}; {told}"


def _owned(config: Config) -> Iterator[tuple[str, str]]:
    """Where an owner is said, or meant by saying nothing, and who it is."""
    for name, intent in sorted(config.intents.items()):
        yield f"intents.{name}.owner", intent.owner
    for slo in config.slos:
        if slo.owner is not None:
            yield f"{slo.place}: tidegauge.dev/owner", slo.owner
        if slo.notify:
            yield f"{slo.place}: notificationTargets", slo.notify[0]
    for name in sorted(config.judges_on):
        yield "judge.owner" if name == "judge" else f"judges.{name}.owner", config.judge_owner(name)
    for canary in config.canaries:
        yield f"canaries.{canary.name}.owner", canary.owner


def silent_owners(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """Owners whom nobody could tell anything."""
    for name, owner in sorted(config.owners.items()):
        if owner.contacts_env is None:
            yield f"owners.{name}: no contacts_env; tickets, and pages outside of shifts, reach nobody"
        for variable in (owner.contacts_env, *(shift.contacts_env for shift in owner.on_call)):
            if variable is not None and not environ.get(variable):
                yield f"owners.{name}: {variable} is not set in the environment"
