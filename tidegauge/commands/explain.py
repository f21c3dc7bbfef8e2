"""`tidegauge explain INCIDENT`: from alert to cause, on one page."""

from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any

from tidegauge import show
from tidegauge.commands.context import Context, print_json, print_text

_WIDTH = 110


def run(context: Context) -> int:
    from tidegauge.service.explain import explain

    with context.existing_store() as store, store.read() as tx:
        found = explain(tx, context.args.incident)
    if context.args.json:
        print_json(found)
    else:
        print_text("\n".join(text(found)))
    return 0


def text(found: Mapping[str, Any]) -> Iterator[str]:
    """The page; the first lines say what matters."""
    row = found["incident"]
    stage = f", rollback {row['stage']}" if row["stage"] else ""
    yield f"Incident {row['id']}: {row['state']}{stage}, opened {row['opened_at']}"
    yield ""
    for name in ("what", "sure", "release", "done"):
        yield _entry(name.capitalize(), found[name])
    for step in found["next"]:
        yield _entry("Next", step)
    yield from ("", "Release")
    yield from _release(found)
    if found["cause"]:
        yield from ("", "Cause")
        yield from _cause(found["cause"])
    yield from ("", "Timeline")
    for event in found["timeline"]:
        yield _event(event)
    if found["examples"]:
        yield from ("", "Examples that reviewers rejected, personal data masked")
    for example in found["examples"]:
        yield from _example(example)
    yield from ("", "Webhook")
    for delivery in row["deliveries"]:
        yield f"  {delivery['id']}  {delivery['status']}  attempts {delivery['attempts']}  {delivery['last_status']}"


def _release(found: Mapping[str, Any]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        (change["part"], change["now"], change["was"] or "unknown", "changed" if change["moved"] else "")
        for change in found["changed"]
    ]
    for name, place in (("rate", "rate"), ("first request", "first"), ("last request", "last")):
        cells = [_traffic(found["traffic"][which], place) for which in ("deployment", "last_good")]
        rows.append((name, *cells, ""))
    for line in show.table(("", "now", "last good", ""), rows).splitlines():
        yield f"  {line}"


def _cause(cause: Mapping[str, Any]) -> Iterator[str]:
    yield fill(cause["said"], _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    if cause["since"]:
        yield f"  since {cause['since']}, between {cause['since_low']} and {cause['since_high']}"
    for one in cause["concentrated"]:
        findings, traffic = show.percent(one["share_of_findings"]), show.percent(one["share_of_traffic"])
        yield f"  {one['dimension']} {one['value'] or '(none)'}: {findings} of the findings on {traffic} of the traffic"


def _traffic(of: Mapping[str, Any] | None, place: str) -> str:
    if of is None:
        return "unknown"
    if place == "rate":
        return f"{show.percent(of['rate'])} {show.interval(of['low'], of['high'])}"
    return of[place] or "unknown"


def _event(event: Mapping[str, Any]) -> str:
    stages = f" → {event['to']}" if event["to"] and event["to"] != event["what"] else ""
    why = f": {event['why']}" if event["why"] else ""
    line = f"  {event['at']}  {event['who']}: {event['what']}{stages}{why}"
    return fill(line, _WIDTH, subsequent_indent=" " * 28, break_long_words=False, break_on_hyphens=False)


def _example(example: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {example['request_id']}"
    if example["removed"]:
        yield _entry("text", "removed after its time", 4)
    else:
        yield _entry("asked", example["question"], 4)
        yield _entry("answered", example["response"], 4)
    for verdict in example["verdicts"]:
        score = "" if verdict["score"] is None else f" {verdict['score']:.2f}"
        reason = f", {verdict['reason']}" if verdict["reason"] else ""
        yield _entry("judged", f"{verdict['evaluator']}: {verdict['label'] or 'no verdict'}{score}{reason}", 4)
    for review in example["reviews"]:
        said = {True: "hallucinated", False: "fine", None: "cannot tell"}[review["hallucinated"]]
        note = f", “{review['note']}”" if review["note"] else ""
        yield _entry("reviewed", f"{review['reviewer']}: {said}{note}", 4)


def _entry(name: str, value: str, indent: int = 2) -> str:
    head = " " * indent + f"{name:<8} "
    return fill(
        value or "nothing", _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )
