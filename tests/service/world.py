"""Traffic written straight into the store, a policy, verdicts and labels; times are hours after NOON's midnight."""

from collections.abc import Iterable, Sequence

import msgspec

from tests.support.logs import NOON
from tidegauge.domain import (
    DAY,
    HOUR,
    Deployment,
    EvaluationState,
    Incident,
    Label,
    Objective,
    Request,
    Score,
    Verdict,
    test_block,
)
from tidegauge.service.decide import Decision, behind, decide
from tidegauge.service.label import LabelReport, apply_labels
from tidegauge.service.policy import refresh
from tidegauge.service.route import Routed, Routing, commit_verdicts
from tidegauge.storage.ledger import NEVER
from tidegauge.storage.store import Store, Transaction

START = NOON // DAY * DAY
NOW = START + 30 * DAY
OLD = Deployment(model_version="m-0", prompt_version="p-1", retrieval_index="i-1")
NEW = Deployment(model_version="m-1", prompt_version="p-1", retrieval_index="i-1")
HASH = "0a1b2c3d"
_COUNTS = (
    *("errors", "timeouts", "feedback_up", "feedback_neutral", "feedback_down", "input_tokens", "output_tokens"),
    *("cost_nano_usd", "cost_unknown"),
)


def objective(intent: str = "refunds", **changes) -> Objective:
    return Objective(intent=intent, theta0=0.03, labels_per_day=1e6, **changes)


def routing(**changes) -> Routing:
    return Routing(key=b"a key", objective_of=lambda intent: objective(intent, **changes))


def request(n: int, hours: float = 0.0, deployment: Deployment = NEW, intent: str = "refunds", **changes) -> Request:
    return Request(
        request_id=f"r-{n:05}",
        timestamp=START + int(hours * HOUR),
        intent=intent,
        deployment=deployment,
        question="When?",
        response="Soon.",
        **changes,
    )


def ingest(tx: Transaction, requests: Iterable[Request], pi1: float = 1.0, *, sampled: bool = True) -> None:
    """What a committed block leaves behind, of requests that are all sampled, or none of them."""
    for r in requests:
        d = r.deployment
        tx.run("insert_deployment", deployment=d.id, **msgspec.structs.asdict(d))
        place = {"intent": r.intent, "deployment": d.id}
        if r.served_by in ("primary", "cache"):
            times = {"first_at": r.timestamp, "last_at": r.timestamp}
            tx.run("add_cell", **place, block=test_block(r.timestamp), requests=1, sampled=int(sampled), **times)
        names = {name: getattr(r, name) or "" for name in ("feature", "cohort", "experiment", "served_by")}
        segment = abs(hash((r.intent, d.id, *names.values()))) % 10**9
        tx.run("insert_segment", segment=segment, **place, **names)
        tx.run(
            "add_five_minutes",
            bucket=r.timestamp // (HOUR // 12),
            segment=segment,
            requests=1,
            latency=b"",
            retrieval_latency=b"",
            **dict.fromkeys(_COUNTS, 0),
        )
        if not sampled:
            continue
        tx.run(
            "insert_sample",
            request_id=r.request_id,
            sha256="",
            timestamp=r.timestamp,
            **place,
            **names,
            tenant=r.tenant or "",
            provider="",
            pi1=pi1,
            plan=1,
            payload=msgspec.json.encode(r),
            owner="me",
            sweep="",
            free_at=NEVER,
            generation="g",
            block_start=0,
            ingested_at=NOW,
        )


def verdict(r: Request, bin_: int = 0, state: EvaluationState = EvaluationState.JUDGED) -> Verdict:
    label = "hallucinated" if bin_ >= 4 else "faithful"
    score = Score(
        evaluator="judge",
        version="1",
        content_hash=HASH,
        score=bin_ / 8,
        label=label,
        confidence=0.9,
        reason="",
        asks=True,
    )
    return Verdict(request_id=r.request_id, state=state, scores=(score,), decided_by=0, bin=bin_, reason="why")


def judge(store: Store, requests: Sequence[Request], bins: Sequence[int] = (), pi1: float = 1.0, **changes) -> Routed:
    """Ingests and commits; every item is reviewed unless the objective says otherwise."""
    with store.write() as tx:
        ingest(tx, requests, pi1)
    return commit(store, requests, bins, **changes)


def commit(store: Store, requests: Sequence[Request], bins: Sequence[int] = (), **changes) -> Routed:
    with store.write() as tx:
        wanted = {**{"labels_per_day": 1e6, "theta0": 0.03}, **changes}
        objectives = [Objective(intent=intent, **wanted) for intent in sorted({r.intent for r in requests})]
        policies = refresh(tx, objectives, NOW)
        found = [verdict(r, bins[n] if bins else 0) for n, r in enumerate(requests)]
        return commit_verdicts(tx, found, policies, routing(), NOW)


def label(
    store: Store, requests: Iterable[Request], y: bool | None, reviewer: str = "ann", confirmations: int = 1
) -> LabelReport:
    with store.write() as tx:
        labels = [Label(request_id=r.request_id, hallucinated=y, reviewer=reviewer) for r in requests]
        return apply_labels(tx, labels, confirmations, NOW)


def body(incident: Incident) -> bytes:
    return msgspec.json.encode({"id": incident.id, "state": incident.state})


def decide_all(store: Store, mode: str = "auto") -> list[Decision]:
    with store.write() as tx:
        return [decide(tx, key, mode, body, NOW) for key in behind(tx, NOW)]


def table(store: Store, name: str) -> list[dict]:
    """All rows of a table."""
    import sqlalchemy as sa

    with store._pool.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()]
