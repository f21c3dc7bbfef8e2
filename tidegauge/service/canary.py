"""Canaries against their control: latency and task success on all traffic, hallucinations on confirmed positives.

A trial is one canary (a name in the configuration) of one deployment, for 14 days from its first request on; a new
deployment under the same cohort starts a new trial. A breach is final.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tidegauge.config import CanarySection, MatchSection
from tidegauge.domain import DAY, Incident, Micros, Value, iso, short_hash
from tidegauge.service import incidents, interlock, stops, tickets
from tidegauge.service.canary_traffic import Arms, Traffic, positives
from tidegauge.service.protocol import CANARY
from tidegauge.slo.canary import Worsening, hallucination_evidence, share_worsening
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Row, Transaction

LENGTH = 14 * DAY
"""Of a trial, in event time. It neither slides nor grows: what is ever looked at is fixed when it begins."""

BREACH, ENDED = "breach", "ended"
OVER = (BREACH, ENDED)
GUARDRAILS = 3
"""The error probability of a trial is shared by latency, success and hallucinations."""

_FEWEST_POSITIVES = 5


class Trial(Value, frozen=True, kw_only=True):
    """What is known of a canary now."""

    canary: str
    name: str
    deployment: str
    started_at: Micros
    state: str
    """`running`, `waiting` where there is no traffic to compare, `breach`, or `ended`: its time is up, and nothing was
    proven. The last two are final."""
    as_of: Micros
    breached: tuple[str, ...]
    """Guardrails that were passed: latency, success, hallucination."""
    evidence: dict[str, Any]


class Looked(NamedTuple):
    """A canary, and what was seen of it."""

    section: CanarySection
    trial: Trial


class _Breach(NamedTuple):
    """A canary's breach, as an incident needs it."""

    test_key: str
    indicator: str
    intent: str
    deployment: str
    first_at: Micros
    last_at: Micros
    episode: int = 0


def look(tx: Transaction, canaries: Sequence[CanarySection], now: Micros) -> list[Looked]:
    """Compares every configured canary whose trial is not over. It may take a while, and writes nothing."""
    newest = tx.value("newest_traffic") if canaries else None
    if newest is None:
        return []
    known = {row["canary"]: row for row in tx.rows("canaries")}
    segments = tx.rows("segments_with_deployment")
    stopped = stops.stopped(tx, now)
    return [
        Looked(section, _or_kept(_compare(tx, section, arms, newest), known))
        for section in canaries
        if not stops.is_stopped(stopped, section.intent)
        for arms in _open_trials(tx, section, segments, known, newest)
    ]


def keep(
    tx: Transaction,
    looked: Sequence[Looked],
    mode_of: Callable[[str], str],
    body: Callable[[Incident], bytes],
    now: Micros,
) -> list[Trial]:
    """Writes what was seen; the trials that breach now, for the first time.

    A breach opens an incident: its rollback is that of any other, `mode_of` an intent and `body` as for them.
    """
    stopped = stops.stopped(tx, now)
    found = []
    for section, trial in looked:
        if stops.is_stopped(stopped, section.intent):
            continue
        kept = tx.run(
            "keep_canary",
            canary=trial.canary,
            name=trial.name,
            deployment=trial.deployment,
            started_at=trial.started_at,
            state=trial.state,
            evidence=json.dumps(trial.evidence, sort_keys=True),
            breached_at=now if trial.breached else None,
        )
        if trial.breached and kept:  # else another worker has seen it meanwhile
            _report(tx, section, trial, mode_of(section.intent), body, now)
            found.append(trial)
    return found


def _report(
    tx: Transaction,
    section: CanarySection,
    trial: Trial,
    mode: str,
    body: Callable[[Incident], bytes],
    now: Micros,
) -> None:
    evidence = {"guardrails": list(trial.breached), **trial.evidence}
    subject = {"canary": trial.name, "deployment": trial.deployment}
    tickets.open_ticket(tx, kind=CANARY, subject=subject, owner=section.owner, evidence=evidence, now=now)
    breach = _Breach(
        test_key=trial.canary,
        indicator=f"canary.{trial.breached[0]}",
        intent=section.intent,
        deployment=trial.deployment,
        first_at=trial.started_at,
        last_at=trial.as_of,
    )
    told = {"canary": trial.name, **evidence, "as_of": trial.as_of}
    incidents.open_incident(tx, breach, told, mode=mode, body=body, now=now)


def canary_rows(tx: Transaction) -> list[dict[str, Any]]:
    """As `tidegauge canaries --json` prints them."""
    parts = ("model_version", "prompt_version", "retrieval_index")
    return [
        {
            "id": row["canary"],
            "name": row["name"],
            "deployment": {"id": row["deployment"], **{part: row[part] for part in parts}},
            "started_at": iso(row["started_at"]),
            "state": row["state"],
            "breached_at": None if row["breached_at"] is None else iso(row["breached_at"]),
            "evidence": json.loads(row["evidence"]),
        }
        for row in tx.rows("canaries")
    ]


def _open_trials(
    tx: Transaction, section: CanarySection, segments: Sequence[Row], known: Mapping[str, Row], newest: Micros
) -> Iterator[Arms]:
    """The trial of the canary's newest deployment, and earlier ones whose time is up; without those that are over."""
    scope = [row for row in segments if section.intent in ("*", row["intent"])]
    mine = {row["segment"]: row for row in scope if _matches(section.canary, row)}
    control = {row["segment"]: row for row in scope if row["segment"] not in mine and _control(section, row)}
    began = _began(tx, section, mine, known, newest)
    latest = max(began, key=lambda deployment: (began[deployment], deployment), default=None)
    for deployment, since in sorted(began.items()):
        trial = known.get(_id(section, deployment))
        is_over = trial is not None and trial["state"] in OVER
        if not is_over and (deployment == latest or newest >= since + LENGTH):
            own = {number: row for number, row in mine.items() if row["deployment"] == deployment}
            yield Arms(own, control, deployment, since, since + LENGTH)


def _began(
    tx: Transaction, section: CanarySection, mine: Mapping[int, Row], known: Mapping[str, Row], newest: Micros
) -> dict[str, Micros]:
    """When the trial of each deployment began: as it was kept, else its first request of the last days."""
    deployments = {row["deployment"] for row in mine.values()}
    kept = {name: known[_id(section, name)]["started_at"] for name in deployments if _id(section, name) in known}
    new = sorted(number for number, row in mine.items() if row["deployment"] not in kept)
    began: dict[str, Micros] = {}
    for row in tx.rows_in("first_buckets", "segments", new, since=(newest - LENGTH) // FIVE_MINUTES):
        deployment, at = mine[row["segment"]]["deployment"], int(row["bucket"]) * FIVE_MINUTES
        began[deployment] = min(began.get(deployment, at), at)
    return kept | began


def _control(section: CanarySection, row: Row) -> bool:
    return section.control is None or _matches(section.control, row)


def _matches(match: MatchSection, row: Row) -> bool:
    wanted = {name: getattr(match, name) for name in match.__struct_fields__}
    return all(row[name] == value for name, value in wanted.items() if value is not None)


def _id(section: CanarySection, deployment: str) -> str:
    return short_hash("canary", section.name, deployment)


def _compare(tx: Transaction, section: CanarySection, arms: Arms, newest: Micros) -> Trial:
    traffic = Traffic(tx, arms)
    alpha = section.alpha / GUARDRAILS
    latency = traffic.latency(alpha)
    success = share_worsening(traffic.canary, traffic.control, alpha)
    log_e, positives = _hallucination(tx, section, arms)
    breached = [
        name
        for name, bad in (
            ("latency", latency.beyond(section.latency_ms)),
            ("success", success.beyond(section.success_drop)),
            ("hallucination", log_e is not None and log_e >= -log(alpha) and positives >= _FEWEST_POSITIVES),
        )
        if bad
    ]
    evidence = {
        "latency_p95_ms": {**_shown(latency), "margin": section.latency_ms},
        "success_drop": {**_shown(success), "margin": section.success_drop},
        "hallucination": {"log_e": log_e, "positives": positives},
        "alpha": section.alpha,
        "requests": {"canary": int(traffic.canary.requests.sum()), "control": int(traffic.control.requests.sum())},
    }
    idle = not traffic.canary.requests.sum() or not traffic.control.requests.sum()
    going = ENDED if newest >= arms.until else "waiting" if idle else "running"
    return Trial(
        canary=_id(section, arms.deployment),
        name=section.name,
        deployment=arms.deployment,
        started_at=arms.since,
        state=BREACH if breached else going,
        as_of=traffic.until,
        breached=tuple(breached),
        evidence={**evidence, "as_of": iso(traffic.until)},
    )


def _or_kept(trial: Trial, known: Mapping[str, Row]) -> Trial:
    """What was seen of a trial stays, though its rollups may be gone before it ends: nobody looked for a while."""
    if trial.breached or trial.canary not in known or any(trial.evidence["requests"].values()):
        return trial
    return msgspec.structs.replace(trial, evidence=json.loads(known[trial.canary]["evidence"]))


def _hallucination(tx: Transaction, section: CanarySection, arms: Arms) -> tuple[float | None, int]:
    """Log evidence and the number of positives; no evidence while a judge is not believed."""
    if interlock.distrusted(tx):
        return None, 0

    def side(row: Row) -> bool | None:
        if section.intent not in ("*", row["intent"]):
            return None
        if _matches(section.canary, row):
            return True if row["deployment"] == arms.deployment else None
        return False if _control(section, row) else None

    entries = positives(tx, arms, side)
    return hallucination_evidence(entries), len(entries)


def _shown(found: Worsening) -> dict[str, float | bool | None]:
    known = np.isfinite(found.se)
    return {"worse_by": found.est if known else None, "se": found.se if known else None, "proven": found.proven}
