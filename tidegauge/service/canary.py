"""Canaries against their control: latency and task success on all traffic, hallucinations on confirmed positives.

A trial is one canary (a name in the configuration) of one deployment, from its first request on; a new deployment under
the same cohort starts a new trial. A breach is final.
"""

import json
from collections.abc import Callable, Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np

from tidegauge.config import CanarySection, MatchSection
from tidegauge.domain import DAY, HALLUCINATION, HOUR, Incident, Micros, Value, iso, short_hash
from tidegauge.service import incidents, interlock, stops, tickets
from tidegauge.slo.canary import Counts, Worsening, hallucination_evidence, latency_worsening, share_worsening
from tidegauge.storage import histogram
from tidegauge.storage.store import Row, Transaction

BUCKET = HOUR // 12
LONGEST_TRIAL = 14 * DAY
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
    """`running`, `breach`, or `waiting` where there is no traffic to compare."""
    as_of: Micros
    breached: tuple[str, ...]
    """Guardrails that were passed: latency, success, hallucination."""
    evidence: dict[str, Any]


class _Arms(NamedTuple):
    """Segments of both arms, by their number."""

    canary: dict[int, Row]
    control: dict[int, Row]
    deployment: str
    since: int  # bucket

    @property
    def started_at(self) -> Micros:
        return self.since * BUCKET


class _Breach(NamedTuple):
    """A canary's breach, as an incident needs it."""

    test_key: str
    indicator: str
    intent: str
    deployment: str
    first_at: Micros
    last_at: Micros
    episode: int = 0


def watch(
    tx: Transaction,
    canaries: Sequence[CanarySection],
    mode_of: Callable[[str], str],
    body: Callable[[Incident], bytes],
    now: Micros,
) -> list[Trial]:
    """Looks at every configured canary; those that breach now, for the first time.

    A breach opens an incident: its rollback is that of any other, `mode_of` an intent and `body` as for them.
    """
    if not canaries:
        return []
    over = {row["canary"] for row in tx.rows("canaries") if row["state"] == "breach"}
    segments = tx.rows("segments_with_deployment")
    stopped = stops.stopped(tx, now)
    found = []
    for section in canaries:
        arms = _arms(tx, section, segments)
        if arms is None or _name(section, arms) in over or stops.is_stopped(stopped, section.intent):
            continue
        trial = _look(tx, section, arms)
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
            tickets.open_ticket(
                tx,
                kind="canary_breach",
                subject={"canary": trial.name, "deployment": trial.deployment},
                owner=section.owner,
                evidence={"guardrails": list(trial.breached), **trial.evidence},
                now=now,
            )
            breach = _Breach(
                test_key=trial.canary,
                indicator=f"canary.{trial.breached[0]}",
                intent=section.intent,
                deployment=trial.deployment,
                first_at=trial.started_at,
                last_at=trial.as_of,
            )
            evidence = {
                "canary": trial.name,
                "guardrails": list(trial.breached),
                **trial.evidence,
                "as_of": trial.as_of,
            }
            incidents.open_incident(tx, breach, evidence, mode=mode_of(section.intent), body=body, now=now)
            found.append(trial)
    return found


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


def _arms(tx: Transaction, section: CanarySection, segments: Sequence[Row]) -> _Arms | None:
    """Both arms of the canary's newest deployment; None where it has had no traffic lately."""
    newest = tx.value("newest_traffic")
    scope = [row for row in segments if section.intent in ("*", row["intent"])]
    mine = {row["segment"]: row for row in scope if _matches(section.canary, row)}
    if newest is None or not mine:
        return None
    since = (newest - LONGEST_TRIAL) // BUCKET
    first = {r["segment"]: int(r["bucket"]) for r in tx.rows_in("first_buckets", "segments", sorted(mine), since=since)}
    began: dict[str, int] = {}
    for segment, bucket in first.items():
        deployment = mine[segment]["deployment"]
        began[deployment] = min(began.get(deployment, bucket), bucket)
    if not began:
        return None
    deployment = max(began, key=lambda name: (began[name], name))
    return _Arms(
        canary={n: row for n, row in mine.items() if row["deployment"] == deployment},
        control={row["segment"]: row for row in scope if row["segment"] not in mine and _control(section, row)},
        deployment=deployment,
        since=began[deployment],
    )


def _control(section: CanarySection, row: Row) -> bool:
    return section.control is None or _matches(section.control, row)


def _matches(match: MatchSection, row: Row) -> bool:
    wanted = {name: getattr(match, name) for name in match.__struct_fields__}
    return all(row[name] == value for name, value in wanted.items() if value is not None)


def _name(section: CanarySection, arms: _Arms) -> str:
    return short_hash("canary", section.name, arms.deployment)


def _look(tx: Transaction, section: CanarySection, arms: _Arms) -> Trial:
    traffic = _Traffic(tx, arms)
    alpha = section.alpha / GUARDRAILS
    latency = traffic.latency(alpha)
    success = share_worsening(traffic.canary, traffic.control, alpha)
    log_e, positives = _hallucination(tx, section, arms, traffic)
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
    as_of = (arms.since + len(traffic.canary.requests)) * BUCKET
    idle = not traffic.canary.requests.sum() or not traffic.control.requests.sum()
    return Trial(
        canary=_name(section, arms),
        name=section.name,
        deployment=arms.deployment,
        started_at=arms.started_at,
        state="breach" if breached else "waiting" if idle else "running",
        as_of=as_of,
        breached=tuple(breached),
        evidence={**evidence, "as_of": iso(as_of)},
    )


class _Traffic:
    """All requests of both arms since the trial's start, by 5-minute bucket."""

    def __init__(self, tx: Transaction, arms: _Arms) -> None:
        self._arms = arms
        rows = tx.rows_in("buckets_of_segments", "segments", sorted(arms.canary | arms.control), since=arms.since)
        self._length = max((int(row["bucket"]) for row in rows), default=arms.since - 1) - arms.since + 1
        self._sides = [[row for row in rows if row["segment"] in side] for side in (arms.canary, arms.control)]
        self.canary, self.control = (self._counts(side) for side in self._sides)

    def latency(self, alpha: float) -> Worsening:
        unpacked = [[(row, histogram.unpack(row["latency"])) for row in side] for side in self._sides]
        numbers = np.unique(np.concatenate([t[:, 0] for side in unpacked for _, t in side] or [np.empty(0, np.int64)]))
        arms = []
        for side in unpacked:
            table = np.zeros((self._length, max(len(numbers), 1)), dtype=np.int64)
            for row, counts in side:
                table[int(row["bucket"]) - self._arms.since, np.searchsorted(numbers, counts[:, 0])] += counts[:, 1]
            arms.append(table)
        return latency_worsening(arms[0], arms[1], histogram.values(numbers), alpha)

    def share(self, time: Micros) -> float:
        """The canary's share of both arms' traffic on the day of a time; 0 without any."""
        first = max(time // DAY * DAY // BUCKET - self._arms.since, 0)
        day = slice(first, first + DAY // BUCKET)
        mine, theirs = int(self.canary.requests[day].sum()), int(self.control.requests[day].sum())
        return mine / (mine + theirs) if mine else 0.0

    def _counts(self, rows: Sequence[Row]) -> Counts:
        requests, bad = np.zeros(self._length, dtype=np.int64), np.zeros(self._length, dtype=np.int64)
        segments = self._arms.canary | self._arms.control
        for row in rows:
            place = int(row["bucket"]) - self._arms.since
            requests[place] += row["requests"]
            fell_back = segments[row["segment"]]["served_by"] == "fallback"
            unhappy = row["errors"] + row["timeouts"] + row["feedback_down"]
            bad[place] += row["requests"] if fell_back else min(unhappy, row["requests"])
        return Counts(requests, bad)


def _hallucination(tx: Transaction, section: CanarySection, arms: _Arms, traffic: _Traffic) -> tuple[float | None, int]:
    """Log evidence and the number of positives; no evidence while a judge is not believed."""
    if interlock.distrusted(tx):
        return None, 0
    entries = []
    for row in tx.rows("positives_by_segment", indicator=HALLUCINATION, since=arms.started_at):
        if section.intent not in ("*", row["intent"]):
            continue
        is_canary = _matches(section.canary, row)
        if row["deployment"] != arms.deployment if is_canary else not _control(section, row):
            continue
        share = traffic.share(row["timestamp"])
        if 0 < share < 1:
            entries.append((is_canary, share))
    return hallucination_evidence(entries), len(entries)


def _shown(found: Worsening) -> dict[str, float | bool | None]:
    known = np.isfinite(found.se)
    return {"worse_by": found.est if known else None, "se": found.se if known else None, "proven": found.proven}
