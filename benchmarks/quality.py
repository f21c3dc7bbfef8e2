"""How good the groundedness model is on documents and on sources that it never saw, and how fast.

    python benchmarks/quality.py [--data ../shared/data]

Per labelled set with contexts: AUROC of the share of novel words, of the evaluator `overlap`, and of the model by
nested grouped cross-validation (no document on both sides of a fit, a choice or a calibration) and with the whole set
left out. Then pairs matched on overlap and length, calibration, the cascade against recorded judges, and time. Prints
one JSON object.
"""

import argparse
import gzip
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1]))

from evaluators.groundedness import text as index
from evaluators.groundedness.model import Groundedness
from evaluators.heuristics import Overlap
from evaluators.quality import auroc, balanced_accuracy
from tidegauge.domain import Context, Deployment, Request
from tidegauge.slo.agreement import calibration_error
from training import groundedness as training

SETS = ("begin", "mtrag", "quintd", "summedits", "factcheckgpt_claims")
MOST_CALLS = 0.36
"""Share of training rows that a band may send to the judge, so that of unseen rows at most 40 % go there."""

MOST_FOLDS = 10
REPEATS = 9
REPLICATES = 1000
NEAR_OVERLAP, NEAR_LENGTH = 0.05, 2
"""How far matched pairs may be apart: share of novel words, and words."""

Row = dict[str, Any]
Metric = Callable[[np.ndarray, np.ndarray], float | None]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def novel_share(row: Row) -> float:
    """The baseline: the share of the answer's words that are in no context."""
    known = set(words(" ".join(row["contexts"])))
    said = words(row["response"])
    return sum(word not in known for word in said) / max(1, len(said))


def request(row: Row) -> Request:
    return Request(
        request_id=str(row.get("id", "")),
        timestamp=0,
        intent="",
        deployment=Deployment(model_version="", prompt_version="", retrieval_index=""),
        question=row.get("question"),
        contexts=tuple(Context(text=text) for text in row["contexts"]),
        response=row["response"],
    )


def resampled(groups: np.ndarray, seed: int = 1) -> Iterable[np.ndarray]:
    """Places of rows for each bootstrap replicate; whole documents are drawn."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    places = {name: np.flatnonzero(groups == name) for name in names}
    for _ in range(REPLICATES):
        yield np.concatenate([places[name] for name in rng.choice(names, len(names))])


def interval(values: Iterable[float | None]) -> list[float]:
    kept = [value for value in values if value is not None]
    return [round(float(np.percentile(kept, q)), 3) for q in (2.5, 97.5)]


def of_sets(sets: dict[str, list[Row]], table: training.Table, scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """AUROC of everybody on each set, and of the model's lead over the baseline its interval."""
    found = {}
    for name, of in training.by_source(table):
        truth, groups = table.truth[of], table.group[of]
        baseline = np.array([novel_share(row) for row in sets[name]])
        overlap = np.array([Overlap().evaluate(request(row)).score or 0.0 for row in sets[name]])
        nested = scores["nested"][of]
        leads = (_lead(nested[p], baseline[p], truth[p]) for p in resampled(groups))
        found[name] = {
            "rows": len(truth),
            "novel_words": rounded(auroc(baseline, truth)),
            "overlap": rounded(auroc(overlap, truth)),
            **{kind: rounded(auroc(score[of], truth)) for kind, score in scores.items()},
            "nested_interval": interval(auroc(nested[p], truth[p]) for p in resampled(groups)),
            "lead_over_novel_words_interval": interval(leads),
            "calibration_error": rounded(calibration_error(list(nested), list(truth), [1.0] * len(truth))),
            "mean_probability": rounded(float(nested.mean())),
            "rate": rounded(float(truth.mean())),
        }
    return found


def _lead(score: np.ndarray, baseline: np.ndarray, truth: np.ndarray) -> float | None:
    mine, other = auroc(score, truth), auroc(baseline, truth)
    return None if mine is None or other is None else mine - other


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def matched(rows: list[Row], scores: np.ndarray, overlap: Sequence[float]) -> dict[str, Any]:
    """Each hallucinated answer beside a faithful one of nearly the same overlap and length, used once."""
    length = [len(row["response"].split()) for row in rows]
    free = {place for place, row in enumerate(rows) if not row["label_hallucinated"]}
    pairs = []
    for place, row in enumerate(rows):
        near = [
            (abs(overlap[place] - overlap[o]) / NEAR_OVERLAP + abs(length[place] - length[o]) / NEAR_LENGTH, o)
            for o in free
            if abs(overlap[place] - overlap[o]) <= NEAR_OVERLAP and abs(length[place] - length[o]) <= NEAR_LENGTH
        ]
        if row["label_hallucinated"] and near:
            other = min(near)[1]
            free.remove(other)
            pairs.append((place, other))
    wrong, right = (np.array(side) for side in zip(*pairs, strict=True))
    truth = np.repeat([True, False], len(pairs))
    return {
        "pairs": len(pairs),
        "in_order": rounded(float(np.mean((scores[wrong] > scores[right]) + 0.5 * (scores[wrong] == scores[right])))),
        "auroc": rounded(auroc(scores[np.r_[wrong, right]], truth)),
        "baseline_in_order": rounded(
            float(np.mean([(overlap[w] > overlap[r]) + 0.5 * (overlap[w] == overlap[r]) for w, r in pairs]))
        ),
    }


def cascades(data: Path, sets: dict[str, list[Row]], table: training.Table, model: np.ndarray) -> dict[str, Any]:
    """The model outside a band and the judge inside it, against the judge alone, for each recorded judge."""
    judges: dict[str, dict[str, float]] = defaultdict(dict)
    with gzip.open(data / "judges" / "judge_outputs.jsonl.gz") as file:
        for record in map(json.loads, file):
            judges[record["judge"]][record["id"]] = float(record["score_hallucinated"])
    found = {}
    for judge, said in sorted(judges.items()):
        name = next(iter(said)).partition(":")[0]
        places = np.flatnonzero(table.source == name)
        kept = np.array([row["id"] in said for row in sets[name]])
        scores = np.array([said[row["id"]] for row in sets[name] if row["id"] in said])
        rows = table.where(places[kept])
        found[judge] = _cascade(rows, model[places[kept]], scores)
    return found


def _cascade(rows: training.Table, model: np.ndarray, judge: np.ndarray) -> dict[str, Any]:
    n = len(judge)
    scores = {kind: np.zeros(n) for kind in ("judge", "cascade", "model")}
    labels = {kind: np.zeros(n, bool) for kind in scores}
    asked = np.zeros(n, bool)
    for train, test in training.folds(rows, min(MOST_FOLDS, len(np.unique(rows.group)))):
        p = _calibrated(_logit(model), rows.truth, train)
        q = _calibrated(judge, rows.truth, train)
        at = {"judge": _threshold(q[train], rows.truth[train]), "model": _threshold(p[train], rows.truth[train])}
        below, above = _band(p[train], at["model"])
        asked[test] = ((p > below) & (p < above))[test]
        for kind, values in (("judge", q), ("model", p)):
            labels[kind][test] = values[test] >= at[kind]
        scores["model"][test], scores["judge"][test] = p[test], judge[test]
        scores["cascade"][test] = np.where(asked, q, p)[test]
        labels["cascade"][test] = np.where(asked, q >= at["judge"], p >= above)[test]
    found: dict[str, Any] = {"rows": n, "calls": rounded(float(asked.mean()))}
    for metric, measure, of in (("auroc", auroc, scores), ("balanced_accuracy", balanced_accuracy, labels)):
        found[metric] = {kind: rounded(measure(values, rows.truth)) for kind, values in of.items()}
        found[metric]["cascade_minus_judge_interval"] = interval(
            _difference(measure, of["cascade"][p], of["judge"][p], rows.truth[p]) for p in resampled(rows.group)
        )
    return found


def _difference(measure: Metric, one: np.ndarray, other: np.ndarray, truth: np.ndarray) -> float | None:
    mine, theirs = measure(one, truth), measure(other, truth)
    return None if mine is None or theirs is None else mine - theirs


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def _calibrated(values: np.ndarray, truth: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Platt scaling from the training rows, as a deployment has from its own labels."""
    scaled = ((values - values[train].mean()) / (values[train].std() + 1e-9))[:, None]
    return LogisticRegression().fit(scaled[train], truth[train]).predict_proba(scaled)[:, 1]


def _band(p: np.ndarray, threshold: float) -> tuple[float, float]:
    """Round the threshold, where the model is least sure. Nothing is searched: small sets have no rows for that."""
    middle = float(np.mean(p < threshold))
    low = min(max(middle - MOST_CALLS / 2, 0.0), 1 - MOST_CALLS)
    return float(np.quantile(p, low)), float(np.quantile(p, low + MOST_CALLS))


def _threshold(values: np.ndarray, truth: np.ndarray) -> float:
    """The one with the best balanced accuracy on these rows."""
    candidates = np.quantile(values, np.linspace(0.02, 0.98, 49))
    return float(max(candidates, key=lambda t: balanced_accuracy(values >= t, truth) or 0.0))


def speed(rows: list[Row]) -> dict[str, Any]:
    """Milliseconds for answers of 200 words on 1,000 words of context in four passages.

    `fastest_ms` is the mean of each answer's fastest run, which others on the same cores disturb least. No answer is
    cached, only the index of its contexts.
    """
    context = " ".join(text for row in rows for text in row["contexts"]).split()
    answer = " ".join(row["response"] for row in rows).split()
    evaluator = Groundedness()

    def case(n: int) -> Request:
        start, cut = n * 1000 % (len(context) - 1000), n * 200 % (len(answer) - 200)
        passages = [" ".join(context[start + at : start + at + 250]) for at in range(0, 1000, 250)]
        return request({"question": "What is it?", "contexts": passages, "response": " ".join(answer[cut : cut + 200])})

    def milliseconds(asked: Request, seen: bool) -> float:
        if not seen:
            index.source_of.cache_clear()
            index.forms_of.cache_clear()
        start = time.perf_counter()
        evaluator.evaluate(asked)
        return 1000 * (time.perf_counter() - start)

    found = {}
    for kind, seen in (("contexts_unseen", False), ("contexts_seen", True)):
        runs = np.array([[milliseconds(case(n), seen) for _ in range(REPEATS + 1)] for n in range(100)])[:, 1:]
        found[kind] = {"median_ms": rounded(float(np.median(runs))), "fastest_ms": rounded(runs.min(axis=1).mean())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    sets = training.read(args.data, SETS)
    table = training.table(sets)
    nested, left_out = training.nested(table), training.leave_one_source_out(table)
    scores = {"nested": nested, "leave_one_source_out": left_out}
    begin = table.source == "begin"
    content = training.feature_names().index("novel_words")
    overlaps = {
        "novel_words": [novel_share(row) for row in sets["begin"]],
        "novel_content_words": table.features[begin, content].tolist(),
    }
    found = {
        "sets": of_sets(sets, table, scores),
        "begin_matched_on": {
            name: {kind: matched(sets["begin"], score[begin], overlap) for kind, score in scores.items()}
            for name, overlap in overlaps.items()
        },
        "cascade": cascades(args.data, sets, table, nested),
        "cascade_left_out": cascades(args.data, sets, table, left_out),
        "speed": speed(sets["mtrag"]),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
