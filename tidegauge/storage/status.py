"""Where everything is: the counts of `tidegauge status`."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidegauge.domain import DAY, SECOND, Micros, iso
from tidegauge.storage import judging
from tidegauge.storage.store import Row, Transaction

NANO = 1e9

_SHED = "shed"  # why a verdict has no judge's score: the sample waited too long for one

_REVIEW = ("queued", "leased", "labelled")
_BLOCKS = ("planned", "done", "lost")


def status(tx: Transaction, now: Micros) -> dict[str, Any]:
    """Counts as in the public contract; `seen = quarantined + unsampled + sampled + repeats` holds in them."""
    blocks = {row["state"]: row for row in tx.rows("status_blocks")}
    read = {name: int(count or 0) for name, count in tx.rows("status_read")[0].items()}
    states = {"done": read["blocks"], **{state: int(row["blocks"]) for state, row in blocks.items()}}
    tallies = tx.rows("status_tallies")
    samples = tx.rows("status_samples")
    review = tx.rows("status_review")
    per_intent = {
        row["intent"]: _intent(row["intent"], row, samples, review)
        for row in sorted(tallies, key=lambda row: str(row["intent"]))
    }
    quarantine = _quarantine(tx)
    oldest = blocks["planned"]["oldest"] if "planned" in blocks else None
    return {
        "seen": read["records"],
        "quarantined": read["quarantined"],
        **{key: sum(int(row[key]) for row in tallies) for key in ("unsampled", "sampled", "repeats")},
        **{key: sum(entry[key] for entry in per_intent.values()) for key in ("judged", "unscored", "pending")},
        "review": {key: sum(e["review"][key] for e in per_intent.values()) for key in _REVIEW},
        "blocks": {key: states.get(key, 0) for key in _BLOCKS},
        "blank_lines": read["blanks"],
        "duplicates_estimate": sum(float(row["estimate"] or 0) for row in tallies),
        "conflicting": int(tx.value("status_conflicting") or 0),
        "lag_seconds": 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND),
        "copies": [row | {"since": iso(row["since"])} for row in map(dict, tx.rows("copies"))],
        "quarantine": quarantine,
        "quarantine_examples": _examples(tx, quarantine),
        "evaluation": _evaluation(tx, now, sum(entry["sampled"] for entry in per_intent.values())),
        "per_intent": per_intent,
    }


def _intent(intent: str, tally: Any, samples: list[Any], review: list[Any]) -> dict[str, Any]:
    states = {row["state"]: int(row["samples"]) for row in samples if row["intent"] == intent}
    cases = {row["state"]: int(row["cases"]) for row in review if row["intent"] == intent}
    counts = {key: int(tally[key]) for key in ("unsampled", "sampled", "repeats")}
    return {
        "seen": sum(counts.values()),
        **counts,
        **{key: states.get(key, 0) for key in ("judged", "unscored", "pending")},
        "review": {key: cases.get(key, 0) for key in _REVIEW},
        "duplicates_estimate": float(tally["estimate"] or 0),
    }


def _evaluation(tx: Transaction, now: Micros, sampled: int) -> dict[str, Any]:
    """Who was asked and what it took. `coverage`: share of the samples that the cascade, as configured, judged."""
    steps = tx.rows("decisions_by_step")
    asked = {row["evaluator"]: _asked(row) for row in tx.rows("asked_evaluators")}
    unspent = sum(int(row["samples"]) for row in steps if not row["spent"])
    scores, hits = (sum(int(entry[key]) for entry in asked.values()) for key in ("scores", "cached"))
    return {
        "coverage": unspent / sampled if sampled else None,
        "spent": sum(int(row["samples"]) for row in steps if row["spent"]),
        "shed": sum(int(row["samples"]) for row in steps if row["why"] == _SHED),
        "judge_failed": int(tx.value("status_judge_failed") or 0),
        "decided_by": {f"{row['evaluator']}: {row['why']}": int(row["samples"]) for row in steps},
        "cache": {"asked": scores, "hits": hits, "hit_rate": hits / scores if scores else None},
        "judges": asked,
        "failing": judging.failing(tx),
        "budget_today": {
            row["judge"]: {"calls": row["calls"], "tokens": row["tokens"], "usd": row["nano_usd"] / NANO}
            for row in tx.rows("budgets_of_day", day=now // DAY)
        },
    }


def _asked(row: Row) -> dict[str, Any]:
    """An unknown cost is None, never 0; `cost_unknown` counts the scores that it is unknown of."""
    cost = row["cost_nano_usd"]
    return {
        **{name: int(row[name]) for name in ("scores", "cached", "unusable", "calls", "input_tokens", "output_tokens")},
        "cost_usd": None if cost is None and row["cost_unknown"] else float(cost or 0) / NANO,
        "cost_unknown": int(row["cost_unknown"]),
    }


def _quarantine(tx: Transaction) -> dict[str, dict[str, int]]:
    """Quarantined lines by source and reason."""
    found: dict[str, dict[str, int]] = {}
    for row in tx.rows("status_quarantine"):
        found.setdefault(row["source"], {})[row["reason"]] = int(row["records"])
    return found


def _examples(tx: Transaction, counts: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Row]]:
    """One line of each source and reason that is still kept: what was wrong, and where it lies."""
    found: dict[str, dict[str, Row]] = {}
    for source, reasons in counts.items():
        for reason in reasons:
            if (example := tx.first("quarantine_example", source=source, reason=reason)) is not None:
                found.setdefault(source, {})[reason] = example
    return found
