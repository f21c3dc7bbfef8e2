"""Trains the groundedness model: `python training/groundedness.py DATA [--write]`.

DATA holds labelled/*.jsonl.gz: {id, source, contexts, question, response, label_hallucinated, label_detail.group}.
Every source, and every class within it, weighs the same; the edits of `edits.py` weigh some sources more. A logistic
regression under strong L2 keeps only features whose weight has the sign that it must have, so that more unsupported
text never lowers the score. Platt scaling of out-of-fold predictions at natural prevalence makes it P(hallucinated).
Needs scikit-learn.
"""

import argparse
import gzip
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evaluators.groundedness.features import find  # noqa: E402
from training.edits import edited  # noqa: E402

SEED = 1
EDITS = "edits"
FALLING = frozenset({"paraphrased"})
"""Features that must not raise the score."""

STRENGTHS = (0.5, 1.0, 2.0)
"""C of the regression, where the weights of all rows add to 1."""

EDIT_WEIGHTS = (3.0, 5.0)
"""How many sources the edits weigh."""

OUTER, INNER = 5, 3
MODEL = ROOT / "evaluators" / "groundedness" / "model.json"


class Table(NamedTuple):
    """Rows to learn from: features, truth, source and source document; `source` is EDITS for what was made."""

    features: np.ndarray
    truth: np.ndarray
    source: np.ndarray
    group: np.ndarray

    def where(self, chosen: np.ndarray) -> "Table":
        return Table(*(column[chosen] for column in self))


class Fit(NamedTuple):
    """A logistic regression on plain features."""

    weights: np.ndarray
    bias: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weights + self.bias


class Choice(NamedTuple):
    strength: float
    edit_weight: float


def read(data: Path, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows with contexts of each labelled set."""
    found = {}
    for name in names:
        with gzip.open(data / "labelled" / f"{name}.jsonl.gz") as file:
            rows = [json.loads(line) for line in file]
        found[name] = [row for row in rows if any(context.strip() for context in row["contexts"] or ())]
    return found


def feature_names() -> tuple[str, ...]:
    return tuple(sorted(find("a", ("a",)).features))


def measured(texts: Iterable[tuple[str, dict[str, Any]]]) -> np.ndarray:
    """The features of some answers, each with the row that its contexts are of."""
    names = feature_names()
    found = (find(text, tuple(row["contexts"]), row["question"] or "").features for text, row in texts)
    return np.array([[values[name] for name in names] for values in found])


def table(sets: dict[str, list[dict[str, Any]]]) -> Table:
    """All rows of all sets, and the edits made of them."""
    parts = []
    for name, rows in sets.items():
        groups = [f"{name}:{row['label_detail'].get('group') or row['id']}" for row in rows]
        truth = [row["label_hallucinated"] for row in rows]
        parts.append((measured((r["response"], r) for r in rows), truth, [name] * len(rows), groups))
        made = edited(rows, SEED)
        values = measured((m.text, rows[m.row]) for m in made)
        parts.append((values, [m.hallucinated for m in made], [EDITS] * len(made), [groups[m.row] for m in made]))
    columns = zip(*parts, strict=True)
    return Table(*(np.concatenate([np.asarray(part) for part in column]) for column in columns))


def fit(train: Table, choice: Choice) -> Fit:
    """Drops what has the wrong sign until nothing has."""
    weights = _balanced(train, choice.edit_weight)
    mean = np.average(train.features, axis=0, weights=weights)
    scale = np.sqrt(np.average((train.features - mean) ** 2, axis=0, weights=weights)) + 1e-9
    scaled = (train.features - mean) / scale
    sign = np.array([-1.0 if name in FALLING else 1.0 for name in feature_names()])
    kept = np.arange(len(sign))
    while True:
        model = LogisticRegression(C=choice.strength, max_iter=1000, tol=1e-8)
        model.fit(scaled[:, kept], train.truth, sample_weight=weights)
        right = model.coef_[0] * sign[kept] > 0
        if right.all():
            break
        kept = kept[right]
    plain = np.zeros(len(sign))
    plain[kept] = model.coef_[0] / scale[kept]
    return Fit(plain, float(model.intercept_[0] - plain @ mean))


def _balanced(train: Table, edit_weight: float) -> np.ndarray:
    """Weights that add to 1: each source and class the same."""
    weights = np.zeros(len(train.truth))
    for source in np.unique(train.source):
        for truth in (False, True):
            chosen = (train.source == source) & (train.truth == truth)
            weights[chosen] = (edit_weight if source == EDITS else 1.0) / max(1, chosen.sum())
    return weights / weights.sum()


def folds(rows: Table, count: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """No source document is on both sides."""
    return GroupKFold(count, shuffle=True, random_state=SEED).split(rows.features, groups=rows.group)


def out_of_fold(rows: Table, choice: Choice, count: int) -> np.ndarray:
    logits = np.zeros(len(rows.truth))
    for train, test in folds(rows, count):
        logits[test] = fit(rows.where(train), choice).logits(rows.features[test])
    return logits


def chosen(rows: Table) -> Choice:
    """By the mean AUROC of the sources in grouped cross-validation."""

    def quality(choice: Choice) -> float:
        logits = out_of_fold(rows, choice, INNER)
        return float(np.mean([roc_auc_score(rows.truth[of], logits[of]) for _, of in by_source(rows)]))

    return max(itertools.starmap(Choice, itertools.product(STRENGTHS, EDIT_WEIGHTS)), key=quality)


def by_source(rows: Table) -> Iterable[tuple[str, np.ndarray]]:
    """The labelled sources, and where their rows are."""
    return ((str(name), rows.source == name) for name in np.unique(rows.source) if name != EDITS)


def calibrated(model: Fit, rows: Table, logits: np.ndarray) -> Fit:
    """The model whose logistic is P(hallucinated), from out-of-fold logits; each source weighs the same."""
    real = rows.source != EDITS
    weights = np.zeros(len(rows.truth))
    for _, of in by_source(rows):
        weights[of] = 1 / of.sum()
    platt = LogisticRegression(C=1e6).fit(logits[real, None], rows.truth[real], sample_weight=weights[real])
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    return Fit(model.weights * slope, model.bias * slope + shift)


def trained(rows: Table) -> tuple[Fit, Choice]:
    """Chooses, fits and calibrates on these rows alone."""
    choice = chosen(rows)
    return calibrated(fit(rows, choice), rows, out_of_fold(rows, choice, OUTER)), choice


def nested(rows: Table) -> np.ndarray:
    """Probabilities of rows whose document took part in nothing: neither fit nor choice nor calibration."""
    found = np.zeros(len(rows.truth))
    for train, test in folds(rows, OUTER):
        found[test] = probabilities(trained(rows.where(train))[0], rows.features[test])
    return found


def leave_one_source_out(rows: Table) -> np.ndarray:
    """Probabilities of a source that took part in nothing, nor did edits of it."""
    found = np.full(len(rows.truth), np.nan)
    origin = np.array([group.partition(":")[0] for group in rows.group])
    for name, of in by_source(rows):
        found[of] = probabilities(trained(rows.where(origin != name))[0], rows.features[of])
    return found


def probabilities(model: Fit, features: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-model.logits(features)))


def written(model: Fit, choice: Choice, sets: Sequence[str]) -> str:
    """The model file. Weights of 0 are left out."""
    weights = {n: round(float(w), 4) for n, w in zip(feature_names(), model.weights, strict=True) if w}
    content = {
        "bias": round(model.bias, 4),
        "weights": weights,
        "trained": {"sets": list(sets), "seed": SEED, "C": choice.strength, "edit_weight": choice.edit_weight},
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["begin", "mtrag", "quintd", "summedits", "factcheckgpt_claims"])
    parser.add_argument("--write", action="store_true", help=f"to {MODEL.relative_to(ROOT)}, else to stdout")
    args = parser.parse_args()
    rows = table(read(args.data, args.sets))
    model, choice = trained(rows)
    text = written(model, choice, args.sets)
    if args.write:
        MODEL.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
