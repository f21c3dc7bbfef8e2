"""An incident in words that a tired person understands: what, how sure, which release, what was done, what to check."""

import re
from collections.abc import Mapping, Sequence
from math import exp, floor, log10
from typing import Any

from tidegauge import show
from tidegauge.domain import HALLUCINATION
from tidegauge.service.protocol import BY_COMMAND

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\s]+")
_LONGEST = 120
_PARTS = ("model_version", "prompt_version", "retrieval_index")
_BEYOND = 13.8  # log of a million


def plain(text: object, longest: int = _LONGEST) -> str:
    """Logged text on one line: nothing that breaks it, turns it round or fills the screen."""
    line = _CONTROL.sub(" ", str(text)).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def what(row: Mapping[str, Any]) -> str:
    """`row` as `incident_rows` gives it."""
    found = row["evidence"]
    if "canary" in found:
        return f"canary {plain(found['canary'])} is worse than its control: {'; '.join(_worse(found))}"
    rate = show.percent(found.get("rate"))
    bad = "hallucinated" if row["indicator"] == HALLUCINATION else f"bad by {row['indicator']}"
    return (
        f"{plain(row['intent'])}: {rate} of the answers are {bad} "
        f"{show.interval(found.get('low'), found.get('high'))}, the objective is {show.percent(found.get('theta0'))}"
    )


def _worse(found: Mapping[str, Any]) -> list[str]:
    """The guardrails that a canary has passed."""
    slower, less = found["latency_p95_ms"], found["success_drop"]
    said = {
        "latency": f"p95 slower by {slower['worse_by'] or 0:.0f} ms (margin {slower['margin']:g})",
        "success": f"success lower by {100 * (less['worse_by'] or 0):.1f} points (margin {100 * less['margin']:g})",
        "hallucination": f"{odds(found['hallucination']['log_e'])} that it hallucinates more",
    }
    return [said[name] for name in found["guardrails"]]


def sure(row: Mapping[str, Any]) -> str:
    found = row["evidence"]
    if "canary" in found:
        requests = found["requests"]
        return (
            f"holds at all looks together, error at most {found['alpha']:g}; "
            f"{requests['canary']} requests of the canary, {requests['control']} of the control"
        )
    labels = f"people confirmed {found.get('positives', 0)} of {found.get('labelled', 0)} answers they looked at"
    return f"{odds(found.get('log_e'))} against “within the objective”; {labels}"


def odds(log_e: float | None) -> str:
    """Evidence as odds, two figures of it."""
    if log_e is None:
        return "unknown odds"
    if log_e > _BEYOND:
        return "more than 1,000,000 to 1"
    value = exp(log_e)
    digits = 1 - floor(log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.0f} to 1"


def release(row: Mapping[str, Any], cause: Mapping[str, Any] | None) -> str:
    """The deployment, what of it differs from the last good one, and which part of that it was where `cause` tells."""
    bad, good = row["deployment"], row["last_good"]
    if not good:
        return f"{plain(show.deployment(bad))}; no last good one is known"
    moved = changed(bad, good)
    told = f"{_list(moved)} {'changed together ' if len(moved) > 1 else ''}since the last good one"
    if cause and cause["part"] and [part for part, _, _ in moved] != [cause["part"]]:
        return f"{told if moved else plain(show.deployment(bad))}; traced to {cause['part']} {plain(cause['value'])}"
    if len(moved) > 1:
        return f"{told}: cannot tell which"
    return told if moved else plain(show.deployment(bad))


def changed(bad: Mapping[str, str], good: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Part, what it is now, what it was."""
    return [(part, plain(bad[part]), plain(good[part])) for part in _PARTS if bad[part] != good[part]]


def _list(moved: Sequence[tuple[str, str, str]]) -> str:
    return " and ".join(f"{part} {now} (was {before})" for part, now, before in moved)


_DONE = {
    "approved": "the rollback is approved and waits for its turn",
    "sent": "the rollback was sent, no answer yet",
    "acknowledged": "the rollback was sent and the receiver said yes; whether it helps is being watched",
    "verified": "the traffic left the deployment",
    "cancelled": "no rollback",
}


def done(row: Mapping[str, Any], move: Mapping[str, Any] | None = None) -> str:
    """What was done; `move` is the newest transition."""
    what, why = (move["what"], move["why"]) if move else ("", "")
    because = f": {plain(why)}" if why else ""
    stage = row["stage"]
    if what == "resolved":  # nobody has measured whether the traffic left
        return "resolved by command" + ("" if why == BY_COMMAND else because)
    if stage == "proposed":
        return next((said for d in row["deliveries"] if (said := _waiting(d))), "nothing: rollback.mode is dry_run")
    if stage is None:
        return "nothing to do: the deployment has no traffic any more"
    if stage == "failed":
        return f"the rollback failed{because}"
    return _DONE[stage] + (because if stage in ("verified", "cancelled") else "")


def _waiting(delivery: Mapping[str, Any]) -> str:
    """What a webhook of a proposed rollback waits for."""
    if delivery["status"] == "held":
        return "nothing: the rollback waits for approval"
    if delivery["status"] == "due":
        return "nothing yet: " + plain(delivery["last_status"] or "the rollback waits to be sent")
    return ""


def next_steps(row: Mapping[str, Any]) -> list[str]:
    """What a person may do now."""
    incident, states = row["id"], {delivery["status"] for delivery in row["deliveries"]}
    if row["state"] != "open":
        seen = f"nothing has to be rolled back; once you have seen to it: tidegauge incidents resolve {incident}"
        return [seen] if row["state"] == "historical" else []
    if "held" in states:
        return [f"tidegauge incidents approve {incident}, or cancel"]
    if "failed" in states:
        return [f"tidegauge incidents replay {incident}, once the receiver works; or roll back by hand"]
    if row["stage"] == "failed":
        return [f"roll back by hand, then tidegauge incidents resolve {incident}"]
    if "dry_run" in states:
        return [f"roll back by hand; if it is no breach: tidegauge incidents cancel {incident}"]
    return []
