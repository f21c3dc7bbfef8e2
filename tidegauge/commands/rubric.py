"""`tidegauge rubric list|lint|show|diff|new|release`."""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge import show
from tidegauge.commands.context import Context, lines_of, note, print_json
from tidegauge.config import Config
from tidegauge.errors import ConfigError, TidegaugeError, UsageError

if TYPE_CHECKING:
    from evaluators.gate import Gate
    from evaluators.rubric import Rubric
    from tidegauge.domain import Request, Verdict


def known(context: Context) -> int:
    """Shipped rubrics and one's own."""
    from evaluators.rubric import load_rubric, rubrics

    folder = _folder(context)
    found = [load_rubric(reference, folder) for reference in rubrics(folder)]
    rows = [(r.reference, r.indicator, " / ".join(label.name for label in r.labels), r.content_hash) for r in found]
    if context.args.json:
        print_json([dict(zip(("rubric", "indicator", "labels", "content_hash"), row, strict=True)) for row in rows])
    else:
        print(show.table(("rubric", "indicator", "labels", "content_hash"), rows))
    return 0


def lint(context: Context) -> int:
    """Every file is read; the first error of each, with file, line and key."""
    from evaluators.rubric import parse_rubric

    wrong = 0
    for path in context.args.files:
        try:
            data = path.read_bytes()
            rubric = parse_rubric(data, str(path))
            print(f"{path}: {rubric.reference} {rubric.content_hash}")
            for warning in _warnings(rubric):
                note(f"{path}: warning: {warning}")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        except ConfigError as error:
            note(str(error))
            wrong += 1
    return 2 if wrong else 0


def display(context: Context) -> int:
    """The text of a rubric; with --prompt, what the judge reads."""
    from evaluators.prompt import system_message
    from evaluators.rubric import load_rubric, rubric_text

    folder = _folder(context)
    rubric = load_rubric(context.args.rubric, folder)
    print(system_message(rubric) if context.args.prompt else rubric_text(context.args.rubric, folder)[0].decode())
    return 0


def compare(context: Context) -> int:
    """The difference of two rubrics."""
    from evaluators.rubric import load_rubric, rubric_text

    folder = _folder(context)
    names = (context.args.old, context.args.new)
    for name in names:
        load_rubric(name, folder)
    old, new = (rubric_text(name, folder)[0].decode().splitlines() for name in names)
    print("\n".join(difflib.unified_diff(old, new, *names, lineterm="")))
    return 0


def new(context: Context) -> int:
    """Writes the next version of a rubric, or the first of another name, into one's own folder."""
    import msgspec
    import yaml

    from evaluators.rubric import is_name, load_rubric, rubrics

    folder, name = _folder(context), context.args.name
    if not is_name(name):
        raise UsageError(f"rubric new {name}: a name is lower-case letters, digits and _, and begins with a letter")
    versions = [reference for reference in rubrics(folder) if reference.startswith(f"{name}@")]
    source = load_rubric(context.args.origin or (versions[-1] if versions else "hallucination@1.1.0"), folder)
    version = _next(versions[-1].partition("@")[2]) if versions else "1.0.0"
    body = msgspec.to_builtins(source, builtin_types=()) | {"name": name, "version": version}
    today = datetime.now(UTC).date().isoformat()
    earlier = body["changelog"] if versions else []
    body["changelog"] = [*earlier, {"version": version, "date": today, "text": f"Begun from {source.reference}."}]
    path = folder / name / f"{version}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")
    note(f"wrote {path}; edit it, then: tidegauge rubric lint {path}, tidegauge rubric release {name}@{version}")
    return 0


def release(context: Context) -> int:
    """Runs the gate; where it passes the version is released, and its text is fixed from then on."""
    import msgspec

    from evaluators.gate import gate
    from evaluators.rubric import load_rubric, previous

    config, args = context.config_if_any(), context.args
    folder = Path(config.rubrics)
    rubric = load_rubric(args.rubric, folder)
    truth, requests = _gold(context, rubric)
    older = previous(args.rubric, folder)
    fresh = _verdicts(_judge(config, args.judge, args.rubric), requests)
    before = _verdicts(_judge(config, args.judge, older), requests) if older else None
    names = {"new": args.rubric, "old": older or "", "judge": args.judge}
    found = gate(truth, fresh, before, names)
    _tell(found, args.json)
    if not found.passed:
        return 1
    with context.store() as store, store.write() as tx:
        from tidegauge.service import artifacts

        artifacts.keep(tx, "rubric", rubric.name, rubric.version, rubric.content_hash, context.clock.now())
        tx.run(
            "keep_release",
            name=rubric.name,
            version=rubric.version,
            content_hash=rubric.content_hash,
            released_at=context.clock.now(),
            released_by=context.who(),
            gate=msgspec.json.encode(found.report).decode(),
        )
    note(f"released {args.rubric} {rubric.content_hash}")
    return 0


def _verdicts(judge: Any, requests: "Sequence[Request]") -> "dict[str, Verdict]":
    """By request id. Raises TidegaugeError where the judge could not be asked about one."""
    from evaluators.gate import asked, judged

    found = judged(judge, requests)
    for name, verdict in found.items():
        if not asked(verdict):
            raise TidegaugeError(f"nothing is released: {judge.name} could not be asked about {name}: {verdict.reason}")
    return found


def _tell(found: "Gate", as_json: bool) -> None:
    if as_json:
        print_json(found.report)
        return
    rows = [
        (
            name,
            *(
                _interval(found.report[which][name])
                for which in ("old_agreement", "new_agreement")
                if which in found.report
            ),
        )
        for name in ("sensitivity", "specificity", "kappa")
    ]
    print(show.table(("measure", *(["before"] if "old_agreement" in found.report else []), "now"), rows))
    for reason in found.report["reasons"]:
        print(("passed: " if found.passed else "REFUSED: ") + reason)
    for case in found.report.get("changed", [])[:20]:
        truth = "hallucinated" if case["hallucinated"] else "faithful"
        print(f"changed: {case['id']} is {truth}: {case['old']} before, {case['new']} now")


def _interval(value: dict[str, Any]) -> str:
    if value["estimate"] is None:
        return "unknown"
    return f"{value['estimate']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _gold(context: Context, rubric: "Rubric") -> "tuple[dict[str, bool], list[Request]]":
    """Confirmed cases of the store, which are of hallucination, or all of a file: truth by id, and the requests."""
    from tidegauge.domain import HALLUCINATION
    from tidegauge.service import gold

    if context.args.gold:
        try:
            lines = lines_of(context.args.gold)
        except OSError as error:
            raise UsageError(f"{context.args.gold}: {error.strerror}") from None
        found = gold.from_lines(lines)
    elif rubric.indicator != HALLUCINATION:
        raise UsageError(
            f"rubric release: {rubric.reference} measures {rubric.indicator}, and the gold cases of the store are of "
            f"{HALLUCINATION}; name cases of its own with --gold FILE"
        )
    elif context.missing_store():
        found = []
    else:
        with context.store() as store, store.read() as tx:
            found = [(case.request, case.hallucinated) for case in gold.cases(tx) if case.hallucinated is not None]
    if not found:
        raise UsageError(
            "rubric release: no gold cases; add twice confirmed ones with `tidegauge gold add`, or --gold FILE"
        )
    return {request.request_id: truth for request, truth in found}, [request for request, _ in found]


def _judge(config: Config, name: str, rubric: str) -> Any:
    """The configured judge with another rubric; a panel answers only where all of its members do."""
    from evaluators.build import build_judge, judge_section, with_rubric

    if not judge_section(config, name).on:
        raise UsageError(f"rubric release: judge {name!r} has no base_url; configure it, or name another with --judge")
    return build_judge(with_rubric(config, name, rubric), name, everybody=True)


def _warnings(rubric: "Rubric") -> list[str]:
    shown = {example.answer.label for example in rubric.examples}
    missing = [label.name for label in rubric.labels if label.name not in shown]
    return [f"no example is labelled {', '.join(missing)}"] if missing else []


def _next(version: str) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def _folder(context: Context) -> Path:
    return Path(context.config_if_any().rubrics)
