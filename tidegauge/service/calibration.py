"""Calibrations: what a raw score means, from the labels in hand. Rows never change; a new one is for what comes."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidegauge.domain import HALLUCINATION, TEST_BLOCK, Evaluator, Micros, Value, short_hash
from tidegauge.service.policy import MEMORY_BLOCKS
from tidegauge.slo.calibration import WARM, Knots, Labelled, bins, isotonic, shrunk
from tidegauge.storage.store import Row, Store, Transaction

EVERYWHERE = "*"
"""Stands for all intents."""


class Curve(Value, frozen=True, kw_only=True):
    """P(hallucinated) of one evaluator's scores."""

    evaluator: str
    edges: tuple[float, ...]
    warm: tuple[bool, ...]
    """Whether a bin has enough labels, over all intents, for its value to end a cascade."""
    bins: dict[str, tuple[float, ...]]
    """By intent."""
    knots: dict[str, Knots]
    """By intent, where labels allow."""

    def place(self, score: float) -> int:
        return bisect_right(self.edges, score)

    def at(self, intent: str, score: float) -> float:
        knots = self.knots.get(intent)
        return knots.at(score) if knots else self.bins.get(intent, self.bins[EVERYWHERE])[self.place(score)]


class Snapshot(Value, frozen=True, kw_only=True):
    """A `domain.Calibration`: curves by the evaluators' content hash."""

    id: str
    curves: dict[str, Curve]

    def probability(self, evaluator_hash: str, intent: str, score: float) -> float | None:
        curve = self.curves.get(evaluator_hash)
        return curve.at(intent, score) if curve and curve.warm[curve.place(score)] else None


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Curve]).decode


def refresh(store: Store, evaluators: Iterable[Evaluator], theta0: float, now: Micros) -> Snapshot:
    """The calibration in force: the newest one, or a new one where that is older than a 6-hour block."""
    with store.read() as tx:
        newest = tx.first("newest_calibration", indicator=HALLUCINATION)
        if newest and now - newest["made_at"] < TEST_BLOCK:
            return Snapshot(id=newest["calibration"], curves=_decode(newest["body"]))
        rows = labelled_scores(tx)
    curves = fit(rows, {e.content_hash: e for e in evaluators}, theta0)
    body = _encode(curves).decode()
    made = Snapshot(id=short_hash(body, str(now), size=8), curves=curves)
    labels = len({row["request_id"] for row in rows})
    with store.write() as tx:
        tx.run("keep_calibration", calibration=made.id, indicator=HALLUCINATION, made_at=now, labels=labels, body=body)
    return made


def labelled_scores(tx: Transaction) -> list[Row]:
    """Scores of samples that were chosen for review and labelled, of all evaluators, oldest first."""
    newest = int(tx.value("newest_traffic") or 0) // TEST_BLOCK
    return tx.rows("labelled_scores", indicator=HALLUCINATION, since=newest - MEMORY_BLOCKS)


def fit(rows: Sequence[Row], evaluators: Mapping[str, Evaluator], theta0: float) -> dict[str, Curve]:
    """Curves of the evaluators that have labels, by content hash."""
    by_hash: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_hash[row["content_hash"]].append(row)
    newest = max((row["event_block"] for row in rows), default=0)
    return {
        name: _curve(evaluators[name], found, newest, theta0)
        for name, found in sorted(by_hash.items())
        if name in evaluators
    }


def _curve(evaluator: Evaluator, rows: Sequence[Row], newest: int, theta0: float) -> Curve:
    intents: dict[str, list[Labelled]] = defaultdict(list)
    for row in rows:
        intents[row["intent"]].append(Labelled(row["score"], row["y"], row["pi"], row["event_block"]))
    everything = [item for found in intents.values() for item in found]
    everywhere = bins(everything, evaluator.edges, newest)
    shares = {
        intent: tuple(
            shrunk(own, whole, theta0)
            for own, whole in zip(bins(found, evaluator.edges, newest), everywhere, strict=True)
        )
        for intent, found in intents.items()
    }
    shares[EVERYWHERE] = tuple(shrunk(whole._replace(labels=0.0), whole, theta0) for whole in everywhere)
    fitted = {intent: isotonic(found, newest) for intent, found in intents.items()}
    return Curve(
        evaluator=evaluator.name,
        edges=evaluator.edges,
        warm=tuple(whole.labels >= WARM for whole in everywhere),
        bins=shares,
        knots={intent: knots for intent, knots in fitted.items() if knots is not None},
    )
