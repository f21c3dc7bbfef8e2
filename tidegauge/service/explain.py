"""From alert to cause: everything about one incident, as `tidegauge explain` shows it. Personal data is masked."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidegauge.domain import Request, iso
from tidegauge.errors import UsageError
from tidegauge.service import words
from tidegauge.service.attribution import attribute
from tidegauge.service.incidents import incident_rows
from tidegauge.service.masking import mask
from tidegauge.service.report import slo_rows
from tidegauge.storage.store import Row, Transaction

_LONGEST = 600  # characters of a question, answer or remark
_PARTS = ("model_version", "prompt_version", "retrieval_index")

_decode = msgspec.json.Decoder(Request).decode


def explain(tx: Transaction, incident: str) -> dict[str, Any]:
    """As `tidegauge explain --json` prints it. Raises UsageError where there is no such incident."""
    row = next((row for row in incident_rows(tx) if row["id"] == incident), None)
    if row is None:
        raise UsageError(f"incident {incident}: there is none of this id; see `tidegauge incidents`")
    events = tx.rows("incident_history", incident=incident)
    moves = [event for event in events if event["to_stage"]]
    rates = [r for r in slo_rows(tx, {}, only=row["intent"]) if r["indicator"] == row["indicator"]]
    why = cause(tx, row)
    return {
        "incident": row,
        "what": words.what(row),
        "sure": words.sure(row),
        "release": words.release(row, why),
        "done": words.done(row, moves[-1] if moves else None),
        "next": words.next_steps(row),
        "changed": _changed(row),
        "cause": why,
        "traffic": {name: _traffic(tx, row, name, rates) for name in ("deployment", "last_good")},
        "timeline": [_event(event) for event in events],
        "examples": _examples(tx, row["indicator"], row["evidence"].get("examples", [])),
    }


def cause(tx: Transaction, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the labelled history says: which part, since when, in which segment. None of a canary: it was compared."""
    if row["indicator"].startswith("canary."):
        return None
    found = attribute(tx, row["intent"], row["deployment"]["id"], row["indicator"])
    return msgspec.to_builtins(found)  # type: ignore[no-any-return]


def _changed(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The tuple part by part; `was` is None where no last good deployment is known."""
    good = row["last_good"] or {}
    return [
        {"part": part, "now": row["deployment"][part], "was": good.get(part), "moved": row["deployment"][part] != was}
        for part in _PARTS
        for was in [good.get(part)]
    ]


def _traffic(tx: Transaction, row: dict[str, Any], name: str, rates: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Since when a deployment answers the intent, until when so far, and at which of the intent's `rates`."""
    if row[name] is None:
        return None
    place = {"intent": row["intent"], "deployment": row[name]["id"]}
    span = tx.rows("span_of_traffic", **place)[0]
    shown = next((r for r in rates if r["deployment"]["id"] == row[name]["id"]), None)
    return {
        "first": None if span["first_at"] is None else iso(span["first_at"]),
        "last": None if span["last_at"] is None else iso(span["last_at"]),
        **{key: shown[key] if shown else None for key in ("rate", "low", "high")},
    }


def _event(event: Row) -> dict[str, Any]:
    return {
        "at": iso(event["at"]),
        "who": event["who"],
        "what": event["what"],
        "why": event["why"],
        "from": event["from_stage"] or None,
        "to": event["to_stage"] or None,
    }


def _examples(tx: Transaction, indicator: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Answers that reviewers rejected: what was asked and answered, what the evaluators and the reviewers said."""
    verdicts, opinions = (
        _by_request(tx.rows_in(query, "ids", ids, indicator=indicator)) for query in ("verdicts_of_samples", "opinions")
    )
    found = []
    for row in tx.rows_in("payloads_to_explain", "ids", ids):
        request, name = _decode(bytes(row["payload"])), row["request_id"]
        found.append(
            {
                "request_id": name,
                "removed": bool(row["pruned"]),
                "question": _shown(request.asked),
                "response": _shown(request.response),
                "contexts": [_shown(passage.text) for passage in request.contexts],
                "verdicts": [_verdict(verdict) for verdict in verdicts.get(name, [])],
                "reviews": [_review(opinion) for opinion in opinions.get(name, [])],
            }
        )
    return sorted(found, key=lambda example: ids.index(example["request_id"]))


def _by_request(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["request_id"], []).append(row)
    return found


def _verdict(row: Row) -> dict[str, Any]:
    said = {key: row[key] for key in ("evaluator", "version", "label", "score")}
    return said | {"reason": _shown(row["reason"]), "decided": bool(row["decided"])}


def _review(row: Row) -> dict[str, Any]:
    said = {None: None, 0: False, 1: True}[row["value"]]
    return {"reviewer": mask(row["reviewer"]), "hallucinated": said, "note": _shown(row["note"])}


def _shown(text: str | None) -> str:
    return words.plain(mask(text or ""), _LONGEST)
