"""Training: the same bytes each time, edits that are edits, and a model that tells them."""

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import groundedness as training
from training.edits import edited

PLACES = ("Rome", "Oslo", "Lima", "Cairo", "Quito", "Delhi", "Paris", "Tunis")
NAMES = ("Parker", "Lindqvist", "Moreau", "Okafor", "Tanaka", "Silva")


def rows_of(name: str, count: int) -> list[dict[str, Any]]:
    rng = random.Random(name)
    rows = []
    for n in range(count):
        place, person, days = rng.choice(PLACES), rng.choice(NAMES), rng.randint(3, 90)
        context = (
            f"The office in {place} offers large refunds within {days} days, and Mr {person} is the manager there."
        )
        wrong = n % 2 == 1
        said = (
            f"In {rng.choice(PLACES)} a zebra sings"
            if wrong
            else f"Mr {person} is the manager of the office in {place}"
        )
        response = f"{said}, and it offers large refunds within {days} days."
        rows.append(
            {
                "id": f"{name}:{n}",
                "contexts": [context],
                "question": None,
                "response": response,
                "label_hallucinated": wrong,
                "label_detail": {"group": f"g{n // 4}"},
            }
        )
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "labelled").mkdir()
    for name in ("one", "two"):
        lines = "".join(json.dumps(row) + "\n" for row in rows_of(name, 48))
        (folder / "labelled" / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


def test_training_gives_the_same_model_twice(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["groundedness.py", str(data), "--sets", "one", "two"])
    texts = []
    for _ in range(2):
        training.main()
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    model = json.loads(texts[0])
    assert model["trained"]["sets"] == ["one", "two"]
    assert all(weight > 0 for name, weight in model["weights"].items() if name not in training.FALLING)


def test_no_document_is_on_both_sides(data: Path) -> None:
    table = training.table(training.read(data, ["one", "two"]))
    for train, test in training.folds(table, training.OUTER):
        assert set(table.group[train]).isdisjoint(table.group[test])


def test_it_tells_answers_of_a_source_that_it_never_saw(data: Path) -> None:
    table = training.table(training.read(data, ["one", "two"]))
    found = training.leave_one_source_out(table)
    for _, of in training.by_source(table):
        assert found[of][table.truth[of]].min() > found[of][~table.truth[of]].max()
    assert np.isnan(found[table.source == training.EDITS]).all()


def test_edits_are_seeded_and_differ_from_what_they_are_made_of() -> None:
    rows = rows_of("one", 40)
    made = edited(rows)
    assert made == edited(rows)
    assert made != edited(rows, seed=2)
    right = [m for m in made if not m.hallucinated]
    wrong = [m for m in made if m.hallucinated]
    assert len(right) == 20
    assert len(wrong) == 20
    assert all(not rows[m.row]["label_hallucinated"] for m in made)
    assert all(m.text != rows[m.row]["response"] for m in wrong)
    assert any(m.text == rows[m.row]["response"] for m in right)
