"""The command line. Only the parser is made here; a command's module is imported when the command is called."""

import argparse
import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegauge import stdio
from tidegauge.arguments import Parser, unseen, who, why
from tidegauge.errors import TidegaugeError

_EPILOG = "Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 a breach, with slo --fail-on-breach."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; its exit code."""
    stdio.prepare()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        args = parser().parse_args(given)
        module = importlib.import_module(f"tidegauge.commands.{args.module}")
        from tidegauge.commands.context import Context

        code = getattr(module, args.function)(Context(args, os.environ))
        sys.stdout.flush()
        return int(code or 0)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - one line for the user, whatever it was
        if isinstance(error, BrokenPipeError) and stdio.nobody_reads():
            stdio.lead_nowhere(sys.stdout)
            return 0
        if debug:
            traceback.print_exc()
        stdio.say(f"tidegauge: {_said(error)}")
        return error.exit_code if isinstance(error, TidegaugeError) else 1


def _said(error: Exception) -> str:
    """An error on one line."""
    said = " ".join(str(error).split()) or "no message"
    if isinstance(error, TidegaugeError):
        return said
    if isinstance(error, OSError) and error.strerror:
        return f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}; --debug shows where"
    return f"unexpected {type(error).__name__}: {said}; --debug shows where"


def parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    top = Parser(
        prog="tidegauge",
        description="Measures the quality of LLM answers in production, and acts when it is provably too low.",
        epilog=_EPILOG,
    )
    _global_flags(top, None)
    top.add_argument("--version", action="version", version=f"tidegauge {importlib.metadata.version('tidegauge')}")
    shared = Parser(add_help=False)
    _global_flags(shared, argparse.SUPPRESS)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _setup,
        _job,
        _results,
        _incidents,
        _sampling,
        _power,
        _capacity,
        _review,
        _judge,
        _stops,
        _rubric,
        _gold,
        _evaluator,
        _files,
        _store,
        _demo,
        _drill,
        _engine,
    ):
        add(commands, shared)
    return top


def _global_flags(to: argparse.ArgumentParser, default: str | None) -> None:
    """The flags that may stand before the command or after it."""
    to.add_argument("--config", type=Path, default=default, metavar="FILE", help="default ./tidegauge.yaml")
    to.add_argument("--store", default=default, metavar="URL", help="sqlite:///FILE or postgresql://HOST/NAME")
    to.add_argument("--debug", action="store_true", default=default or False, help="show tracebacks")


class _Commands:
    """Adds commands to one level of the parser."""

    def __init__(self, commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
        self._commands, self._shared = commands, shared

    def add(self, name: str, text: str, module: str, function: str = "run") -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = self._commands.add_parser(
            name, help=text, description=text, parents=[self._shared]
        )
        added.set_defaults(module=module, function=function)
        return added


def _setup(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    group = _Commands(commands, shared)
    init = group.add("init", "write a commented tidegauge.yaml that works as it is", "init")
    init.add_argument("directory", nargs="?", type=Path, default=Path(), metavar="DIR")
    group.add("check", "read the configuration, the rubric and the evaluators, and say what is on", "check")


def _job(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    group = _Commands(commands, shared)
    run = group.add("run", "the job: read what is new, judge, decide, deliver", "run")
    run.add_argument("--every", metavar="TIME", help="again and again, such as every 60s, 5m or 1h, until SIGTERM")
    run.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the work; default 1")
    run.add_argument("--final", action="store_true", help="take a last line without newline too")
    stream = group.add("stream", "the job without end, on Prism, on Flink or on another Beam runner", "stream")
    stream.add_argument("--runner", required=True, metavar="NAME", help="prism, flink, dataflow or any other of Beam's")
    stream.add_argument("--every", metavar="TIME", help="how often it looks; default stream.tick_seconds, 1s")
    stream.add_argument("options", nargs="*", metavar="-- BEAM_OPTION", help="passed on to Beam as they are")
    for job in (run, stream):
        job.add_argument("--log", action="append", metavar="GLOB", help="instead of the configured sources; repeatable")
        job.add_argument(
            "--metrics-port", type=int, metavar="N", help="serve /metrics, /healthz and /verdict meanwhile"
        )
        job.add_argument("--metrics-host", default="127.0.0.1", metavar="NAME", help="default: only this machine")
        job.add_argument("--json-logs", action="store_true", help="progress as JSON lines")


def _results(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    group = _Commands(commands, shared)
    status = _json(group.add("status", "what was seen, sampled, judged and labelled, and what waits", "status"))
    status.add_argument(
        "--watch", nargs="?", const="2s", metavar="TIME", help="what waits, again and again until Ctrl-C; every 2s"
    )
    _json(group.add("health", "whether the job is alive: exit 1 if not", "health", "alive"))
    slo = group.add("slo", "the rate of every intent and deployment, with its interval and state", "slo")
    _json(slo).add_argument("--fail-on-breach", action="store_true", help="exit 3 if there is a breach")
    inner = _Commands(slo.add_subparsers(title="actions", metavar="ACTION"), shared)
    inner.add("export", "the objectives as OpenSLO documents", "slo", "export")
    budget = _json(
        inner.add("budget", "every objective with its error budget, and when it will be gone", "slo", "budget")
    )
    budget.add_argument("--segments", action="store_true", help="by cohort and experiment too")
    history = _json(inner.add("history", "how objectives changed, and the budgets day by day", "slo", "history"))
    history.add_argument("--intent", metavar="NAME", help="default: all")
    verdict = _json(group.add("verdict", "successful, failed or inconclusive: one deployment of one intent", "verdict"))
    verdict.add_argument("--intent", required=True, metavar="NAME")
    verdict.add_argument("--deployment", metavar="ID", help="default: the newest one")
    verdict.add_argument("--fail-on-breach", action="store_true", help="exit 3 if it failed")
    unseen(verdict)
    metrics = group.add("metrics", "figures as Prometheus text", "metrics")
    metrics.add_argument("--rules", action="store_true", help="recording and alerting rules for Prometheus instead")
    _json(group.add("canaries", "canaries against their control: latency, success, hallucinations", "canaries"))
    _json(group.add("tickets", "findings that are no reason for a rollback", "tickets"))
    attribute = group.add(
        "attribute", "which part of a deployment a rise came with, since when, and where", "attribute"
    )
    _json(attribute).add_argument("--intent", required=True, metavar="NAME")
    attribute.add_argument("--deployment", metavar="ID", help="default: the newest one in breach, else the newest")
    dump = group.add("dump", "the store's content as sorted JSON lines", "dump")
    dump.add_argument("--canonical", action="store_true", required=True, help="only what the log determines")


def _incidents(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    incidents = _json(_Commands(commands, shared).add("incidents", "proven breaches and their rollbacks", "incidents"))
    incidents.add_argument("--dead", action="store_true", help="only those whose webhook was given up")
    inner = _Commands(incidents.add_subparsers(title="actions", metavar="ACTION"), shared)
    for name, text in (
        ("approve", "send the rollback that is held"),
        ("cancel", "it is no breach: never send it"),
        ("resolve", "a person has seen to it: close it"),
        ("replay", "send the same webhook, with the same id, once more"),
    ):
        action = inner.add(name, text, "incidents", name)
        action.add_argument("incident", metavar="ID")
        who(action)
        why(action, required=False)
    explain = _json(
        _Commands(commands, shared).add("explain", "an incident from alert to cause, on one page", "explain")
    )
    explain.add_argument("incident", metavar="INCIDENT")


def _sampling(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    sampling = commands.add_parser("sampling", help="the sampling plan: show it, change it", parents=[shared])
    inner = _Commands(sampling.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    _json(inner.add("show", "the plan's rows", "sampling", "show"))
    change = inner.add("set", "another rate from an event time on", "sampling", "change")
    change.add_argument("rate", type=float, metavar="RATE")
    change.add_argument("--intent", default="", metavar="NAME", help="default: all")
    change.add_argument("--deployment", default="", metavar="ID", help="default: all")
    plan = inner.add("apply", "the rates of a plan that tidegauge power --json wrote", "sampling", "apply")
    plan.add_argument("plan", type=Path, metavar="FILE")
    for action in (change, plan):
        action.add_argument("--from", dest="valid_from", metavar="TIME", help="RFC 3339; default: as soon as it may be")
        unseen(action)


def _power(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    power = _json(
        _Commands(commands, shared).add("power", "how long a rise stays unseen, and what labels buy", "power")
    )
    power.add_argument("--intent", metavar="NAME", help="default: all of the store")
    power.add_argument("--requests-per-day", type=float, metavar="N", help="instead of what the store has seen")
    power.add_argument("--sampling-rate", type=float, metavar="RATE", help="default: the configuration's")
    power.add_argument("--labels-per-day", type=float, metavar="N", help="default: the configuration's")
    power.add_argument("--sensitivity", type=float, metavar="SHARE", help="of the judge; default 0.75")
    power.add_argument("--specificity", type=float, metavar="SHARE", help="of the judge; default 0.95")
    power.add_argument("--base-rate", type=float, metavar="SHARE", help="before the rise; default 2/3 of the objective")
    power.add_argument("--within", type=float, default=2, metavar="DAYS", help="the delay that is wanted; default 2")
    power.add_argument("--minimum", type=float, default=100, metavar="N", help="samples a day of each intent; 100")
    power.add_argument("--plot", type=Path, metavar="FILE", help="as PNG, SVG or PDF")


def _capacity(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    capacity = _json(
        _Commands(commands, shared).add(
            "capacity", "what so many requests a day take: workers, store, judge, money", "capacity"
        )
    )
    capacity.add_argument("--requests-per-day", type=float, required=True, metavar="N", help="such as 5e6")
    capacity.add_argument("--rate", type=float, metavar="RATE", help="sampled; default: the configuration's")
    capacity.add_argument("--peak", type=float, default=3, metavar="TIMES", help="the busiest minute over the mean; 3")
    capacity.add_argument("--record-bytes", type=float, metavar="N", help="of a line of the log")
    capacity.add_argument("--segments", type=int, default=500, metavar="N", help="alive in five minutes; 500")
    capacity.add_argument("--accounts", type=int, default=5_000, metavar="N", help="alive in a day; 5,000")
    capacity.add_argument("--judge-seconds", type=float, default=2, metavar="S", help="of a judge's answer; 2")
    capacity.add_argument("--tokens-in", type=float, metavar="N", help="of a judge's call; default 1,500")
    capacity.add_argument("--tokens-out", type=float, metavar="N", help="of its answer; default 150")
    capacity.add_argument("--retention-days", type=int, default=90, metavar="DAYS", help="what the store keeps; 90")


def _review(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    review = commands.add_parser("review", help="cases for reviewers out, their labels in", parents=[shared])
    inner = _Commands(review.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    export = inner.add("export", "queued cases as JSON lines", "review", "export")
    export.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: stdout")
    labels = inner.add("import", "labels in: {request_id, hallucinated, reviewer, note?} a line", "review", "take")
    labels.add_argument("file", type=Path, metavar="FILE")


def _judge(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    judge = commands.add_parser("judge", help="how far the judges can be trusted", parents=[shared])
    inner = _Commands(judge.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    report = _json(
        inner.add("report", "agreement with reviewers, and calibration, per judge and intent", "judge", "report")
    )
    report.add_argument("--plots", type=Path, metavar="DIR", help="reliability diagrams as PNG")
    health = _json(inner.add("health", "answers to gold cases over time, and which judges are not believed", "health"))
    health.add_argument("--plot", type=Path, metavar="FILE", help="sensitivity and specificity, as PNG, SVG or PDF")
    trust = inner.add("trust", "believe a judge again, and begin its gold answers anew", "health", "trust")
    trust.add_argument("judge", metavar="NAME")
    who(trust)
    why(trust, required=True)


def _stops(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    stops = _json(_Commands(commands, shared).add("stops", "intents whose decisions are frozen", "stops"))
    inner = _Commands(stops.add_subparsers(title="actions", metavar="ACTION"), shared)
    add = inner.add("set", "freeze the decisions of an intent", "stops", "add")
    add.add_argument("intent", metavar="INTENT", help="* for all")
    add.add_argument("--for", dest="span", metavar="TIME", help="such as 4h or 2d; default: until it is lifted")
    who(add)
    why(add, required=True)
    unseen(add)
    lift = inner.add("lift", "decide again", "stops", "lift")
    lift.add_argument("intent", metavar="INTENT")
    who(lift)


def _rubric(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    rubric = commands.add_parser("rubric", help="what judges are asked: versions, releases", parents=[shared])
    inner = _Commands(rubric.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    _json(inner.add("list", "shipped ones and your own", "rubric", "known"))
    lint = inner.add("lint", "read files and say what is wrong", "rubric", "lint")
    lint.add_argument("files", type=Path, nargs="+", metavar="FILE")
    display = inner.add("show", "the text of one", "rubric", "display")
    display.add_argument("rubric", metavar="NAME@VERSION")
    display.add_argument("--prompt", action="store_true", help="what the judge reads instead")
    compare = inner.add("diff", "what changed between two", "rubric", "compare")
    compare.add_argument("old", metavar="NAME@VERSION")
    compare.add_argument("new", metavar="NAME@VERSION")
    new = inner.add("new", "begin the next version, or another rubric", "rubric", "new")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--from", dest="origin", metavar="NAME@VERSION", help="what to begin from")
    release = _json(
        inner.add("release", "compare with people and the older version, then fix the text", "rubric", "release")
    )
    release.add_argument("rubric", metavar="NAME@VERSION")
    release.add_argument("--judge", default="judge", metavar="NAME", help="which configured judge is asked")
    release.add_argument("--gold", type=Path, metavar="FILE", help="labelled cases; default: those of the store")


def _gold(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    gold = commands.add_parser("gold", help="cases with known labels, to measure judges by", parents=[shared])
    inner = _Commands(gold.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    add = inner.add("add", "labels in: {request_id or response, hallucinated, reviewer} a line", "gold", "add")
    add.add_argument("file", type=Path, metavar="FILE")
    _json(inner.add("list", "the cases, and whether two reviewers agree", "gold", "known"))
    again = _json(_Commands(commands, shared).add("rejudge", "stored samples by another judge or rubric", "rejudge"))
    again.add_argument("--since", required=True, metavar="TIME", help="RFC 3339, event time")
    again.add_argument("--until", metavar="TIME", help="default: now")
    again.add_argument("--rubric", metavar="NAME@VERSION", help="default: the judge's")
    again.add_argument("--judge", default="judge", metavar="NAME")
    again.add_argument("--intent", default="", metavar="NAME", help="default: all")
    again.add_argument("--limit", type=int, metavar="N", help="samples at most")
    again.add_argument("--run", metavar="ID", help="go on with an earlier run")


def _evaluator(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    evaluator = commands.add_parser("evaluator", help="evaluators of your own", parents=[shared])
    inner = _Commands(evaluator.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    inner.add("new", "write a module to start from", "evaluator", "new").add_argument("name", metavar="NAME")
    _json(inner.add("list", "shipped ones and your own", "evaluator", "known"))
    inner.add("test", "run the contract suite on one", "evaluator", "test").add_argument("name", metavar="NAME")


def _files(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    evaluate = _Commands(commands, shared).add("evaluate", "the same evaluators on any JSON lines", "evaluate")
    evaluate.add_argument("file", type=Path, metavar="FILE")
    evaluate.add_argument("--out", type=Path, required=True, metavar="FILE")
    evaluate.add_argument("--labels", metavar="FIELD", help="field with the truth, to report quality against")
    evaluate.add_argument("--report", type=Path, metavar="DIR", help="report.html with plots")
    evaluate.add_argument("--junit", type=Path, metavar="FILE", help="results as JUnit XML, for CI")
    evaluate.add_argument("--allow-bad", type=int, metavar="N", help="unreadable lines that fail no gate; 0")
    evaluate.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="exit 1 below it: faithful, or EVALUATOR.auroc, .balanced_accuracy, .f1, .kappa; repeatable",
    )


def _store(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    store = commands.add_parser("store", help="look after the store", parents=[shared])
    inner = _Commands(store.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    prune = _json(inner.add("prune", "remove texts that are older than is wanted; counts stay", "store", "prune"))
    prune.add_argument("--older-than", metavar="TIME", help="such as 90d; default store.retention_days")
    prune.add_argument("--rollups-older-than", metavar="TIME", help="such as 400d; default store.rollup_days")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def _demo(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    demo = _Commands(commands, shared).add("demo", "two simulated weeks of production, from log to rollback", "demo")
    demo.add_argument("--seed", type=int, default=1, metavar="N")
    demo.add_argument("--regress", default="refunds.policy", metavar="INTENT", help="which intent breaks, or none")
    demo.add_argument("--directory", type=Path, default=Path("demo"), metavar="DIR", help="default ./demo")
    demo.add_argument("--requests", type=int, default=60_000, metavar="N")
    demo.add_argument("--days", type=int, default=14, metavar="N")


def _drill(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    drill = _Commands(commands, shared).add(
        "drill", "rehearse a regression on the real path, in a store of its own", "drill"
    )
    _json(drill).add_argument("--intent", metavar="NAME", help="which intent breaks")
    drill.add_argument("--rate", type=float, default=0.08, metavar="SHARE", help="hallucinated after the release; 0.08")
    drill.add_argument("--base-rate", type=float, default=0.01, metavar="SHARE", help="before it; 0.01")
    drill.add_argument("--target", default="3d", metavar="TIME", help="event time within which it must be found; 3d")
    drill.add_argument("--healthy", type=int, default=3, metavar="DAYS", help="before the release; 3")
    drill.add_argument("--days", type=int, default=7, metavar="DAYS", help="after it, at most; 7")
    drill.add_argument("--labels-after", default="6h", metavar="TIME", help="what a reviewer takes; 6h")
    drill.add_argument("--seed", type=int, default=1, metavar="N")
    drill.add_argument("--unless-passed-within", metavar="TIME", help="do nothing if one has; for schedules")
    drill.add_argument("--history", action="store_true", help="earlier drills instead")
    unseen(drill)


def _json(to: argparse.ArgumentParser) -> argparse.ArgumentParser:
    to.add_argument("--json", action="store_true", help="for programs")
    return to


def _engine(commands: "argparse._SubParsersAction[Any]", shared: Parser) -> None:
    engine = _Commands(commands, shared).add("engine", "Prism, Flink and Kafka for development, on loopback", "engine")
    inner = _Commands(engine.add_subparsers(title="actions", metavar="ACTION", required=True), shared)
    install = inner.add("install", "put pinned artifacts of the package indexes in place", "engine", "install")
    install.add_argument("engines", nargs="+", choices=("prism", "flink", "kafka"), metavar="prism|flink|kafka")
    start = inner.add("start", "start it in the background, and print what the configuration needs", "engine", "start")
    stop = inner.add("stop", "stop what `start` has started", "engine", "stop")
    status = inner.add("status", "its parts, and whether they run", "engine", "status")
    for action in (start, stop, status):
        action.add_argument("engine", choices=("flink", "kafka"), metavar="flink|kafka")
        action.add_argument("--task-managers", type=int, default=1, metavar="N", help="of Flink; 1")
    for action in (install, start, stop, status):
        action.add_argument("--dir", default=".engine", metavar="DIR", help="where the engines are; .engine")


if __name__ == "__main__":
    sys.exit(main())
