"""Where everything is: the counts of `tidegauge status`."""

from typing import Any

from tidegauge.domain import SECOND, Micros
from tidegauge.storage.store import Transaction

_REVIEW = ("queued", "leased", "labelled")
_BLOCKS = ("planned", "done", "lost")


def status(tx: Transaction, now: Micros) -> dict[str, Any]:
    """Counts as in the public contract; `seen = quarantined + unsampled + sampled + repeats` holds in them."""
    blocks = {row["state"]: row for row in tx.rows("status_blocks")}
    tallies = tx.rows("status_tallies")
    samples = tx.rows("status_samples")
    review = tx.rows("status_review")
    per_intent = {
        row["intent"]: _intent(row["intent"], row, samples, review)
        for row in sorted(tallies, key=lambda row: str(row["intent"]))
    }
    oldest = min((row["oldest"] for name, row in blocks.items() if name == "planned"), default=None)
    return {
        "seen": sum(int(row["records"]) for row in blocks.values()),
        "quarantined": sum(int(row["quarantined"]) for row in blocks.values()),
        **{key: sum(int(row[key]) for row in tallies) for key in ("unsampled", "sampled", "repeats")},
        **{key: sum(entry[key] for entry in per_intent.values()) for key in ("judged", "unscored", "pending")},
        "review": {key: sum(e["review"][key] for e in per_intent.values()) for key in _REVIEW},
        "blocks": {key: int(blocks[key]["blocks"]) if key in blocks else 0 for key in _BLOCKS},
        "blank_lines": sum(int(row["blanks"]) for row in blocks.values()),
        "duplicates_estimate": sum(float(row["estimate"] or 0) for row in tallies),
        "conflicting": int(tx.value("status_conflicting") or 0),
        "lag_seconds": 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND),
        "quarantine": _quarantine(tx),
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


def _quarantine(tx: Transaction) -> dict[str, dict[str, int]]:
    """Quarantined lines by source and reason."""
    found: dict[str, dict[str, int]] = {}
    for row in tx.rows("status_quarantine"):
        found.setdefault(row["source"], {})[row["reason"]] = int(row["records"])
    return found
