"""`tidegauge status`."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from tidegauge import show
from tidegauge.commands import flow_text, times
from tidegauge.commands.context import Context, print_json, print_text
from tidegauge.service.masking import mask
from tidegauge.service.words import plain

_CLEAR = "\x1b[H\x1b[J"


def run(context: Context) -> int:
    if context.args.watch is not None:
        return _watch(context, times.seconds(context.args.watch))
    from tidegauge.service.surges import surges
    from tidegauge.storage.flow import flow
    from tidegauge.storage.status import status

    with context.existing_store() as store, store.read() as tx:
        now = context.clock.now()
        found = status(tx, now) | {"surges": surges(tx), "flow": flow(tx, now)}
    if context.args.json:
        print_json(found)
    else:
        print_text(text(found))
    return 0


def _watch(context: Context, every: float) -> int:
    """Redraws on a terminal; elsewhere a block, or with --json a line, each time."""
    from tidegauge.storage.flow import flow

    with context.existing_store() as store:
        try:
            while True:
                now = context.clock.now()
                with store.read() as tx:
                    found = flow(tx, now)
                _show(context, found, now)
                time.sleep(every)
        except KeyboardInterrupt:
            return 0


def _show(context: Context, found: Mapping[str, Any], now: int) -> None:
    from tidegauge.domain import iso

    if context.args.json:
        print(json.dumps({"at": iso(now), **found}, ensure_ascii=False), flush=True)
    elif sys.stdout.isatty():
        print(f"{_CLEAR}{iso(now)}   Ctrl-C ends it\n\n{show.tame(flow_text.text(found))}", flush=True)
    else:
        print_text(f"{iso(now)}\n{flow_text.text(found)}\n")


def text(found: Mapping[str, Any]) -> str:
    if not found["seen"] and not any(found["blocks"].values()):
        return "Nothing was read yet. Next: tidegauge check, then tidegauge run"
    review, blocks = found["review"], found["blocks"]
    lines = [
        f"seen {found['seen']} = quarantined {found['quarantined']} + unsampled {found['unsampled']}"
        f" + sampled {found['sampled']} + repeats {found['repeats']}",
        f"sampled {found['sampled']} = judged {found['judged']} + unscored {found['unscored']}"
        f" + pending {found['pending']}",
        f"review: queued {review['queued']}, leased {review['leased']}, labelled {review['labelled']}",
        f"blocks: planned {blocks['planned']}, done {blocks['done']}, lost {blocks['lost']};"
        f" lag {found['lag_seconds']:.0f} s",
        *flow_text.waiting(found["flow"]),
        "",
        show.table(
            ("intent", "seen", "sampled", "judged", "unscored", "pending", "queued", "labelled"),
            [
                (
                    intent,
                    *(row[key] for key in ("seen", "sampled", "judged", "unscored", "pending")),
                    row["review"]["queued"],
                    row["review"]["labelled"],
                )
                for intent, row in found["per_intent"].items()
            ],
        ),
    ]
    lines += [f"surge in {intent}: {row['why']}" for intent, row in found["surges"].items() if row["on"]]
    lines += ["", *_judges(found["evaluation"])]
    for source, reasons in found["quarantine"].items():
        lines.append(f"quarantined in {source}:")
        examples = found["quarantine_examples"].get(source, {})
        lines += [f"  {reason} {count}{_example(examples.get(reason))}" for reason, count in reasons.items()]
    lines += map(_copy, found["copies"])
    return "\n".join(lines)


def _copy(row: Mapping[str, Any]) -> str:
    path, original = plain(row["path"]), plain(row["original"])
    if path == original:
        return f"read once: {path}, which two sources name"
    return f"not read: {path}, as far as it goes a copy of {original}"


def _example(row: Mapping[str, Any] | None) -> str:
    return f", for example {mask(plain(row['detail']))} ({plain(row['path'])} at {row['start']})" if row else ""


def _judges(evaluation: Mapping[str, Any]) -> list[str]:
    """Who was asked, who does not answer, and what it took."""
    lines = [show.failing(name, row) for name, row in evaluation["failing"].items()]
    for name, row in evaluation["judges"].items():
        cost = "cost unknown" if row["cost_usd"] is None else f"{row['cost_usd']:.4f} USD"
        if row["cost_usd"] is not None and row["cost_unknown"]:
            cost += f" and {row['cost_unknown']} scores of unknown cost"
        lines.append(
            f"{name}: {row['scores']} scores, {row['cached']} from the cache, {row['unusable']} unusable;"
            f" {row['calls']} calls, {row['input_tokens']} + {row['output_tokens']} tokens, {cost}"
        )
    spent = evaluation["spent"] - evaluation["shed"]
    if spent:
        lines.append(f"budget spent: {spent} samples keep a cheaper verdict")
    if evaluation["shed"]:
        lines.append(f"shed: {evaluation['shed']} samples waited too long for a judge and keep a cheaper verdict")
    if evaluation["judge_failed"]:
        lines.append(f"judge_failed: {evaluation['judge_failed']} samples got no answer where others did; unscored")
    if evaluation["coverage"] is not None:
        lines.append(f"coverage {evaluation['coverage']:.1%} of the samples")
    return lines
