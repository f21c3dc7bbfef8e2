"""One suite over every shipped evaluator that asks nobody, and over users' own, good and bad."""

import math
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from evaluators.build import OFFLINE, build_cascade
from evaluators.contract import CASES, ORDINARY, check
from evaluators.injection import Injection
from evaluators.plugins import PATIENCE, Own
from tests.evaluators.requests import request_of
from tidegauge.cli import main
from tidegauge.config import Config, EvaluationSection
from tidegauge.domain import Score
from tidegauge.errors import ConfigError

SHIPPED = {**OFFLINE, "injection": Injection}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_ones_hold_the_contract(name: str) -> None:
    assert [found for found in check(SHIPPED[name]()) if found.problem] == []


def half(request: Any) -> float:
    return 0.5


def test_a_function_in_ten_lines_is_an_evaluator() -> None:
    own = Own("half", half)
    assert [found for found in check(own) if found.problem] == []
    said = own.evaluate(ORDINARY)
    assert (said.evaluator, said.score, said.version) == ("half", 0.5, "0")
    assert own.content_hash != Own("half", lambda request: 0.5).content_hash


class Versioned:
    name = "versioned"
    version = "2.1"
    needs = frozenset({"contexts"})

    def evaluate(self, request: Any) -> tuple[float, str]:
        return 0.25, "because"


def test_a_class_brings_its_name_version_and_needs() -> None:
    own = Own("anything", Versioned)
    assert (own.name, own.version, own.needs) == ("versioned", "2.1", {"contexts"})
    assert own.evaluate(ORDINARY).reason == "because"


def raises(request: Any) -> float:
    raise ValueError("secret")


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, 1.2, -0.1, "high", [0.5], object(), (1, 2, 3)])
def test_nonsense_is_no_score(value: Any) -> None:
    said = Own("odd", lambda request: value).evaluate(ORDINARY)
    assert (said.score, said.label) == (None, None)
    assert "returned neither" in said.reason


@pytest.mark.parametrize("value", [1, True, np.float64(0.7), np.float32(0.7)])
def test_any_kind_of_number_is_one_that_travels(value: Any) -> None:
    said = Own("odd", lambda request: (value, "lone \ud800 surrogate")).evaluate(ORDINARY)
    assert said.score == float(value)
    assert said.reason == "lone ? surrogate"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=Score) == said


def test_one_that_raises_is_a_value_without_its_words() -> None:
    said = Own("raises", raises).evaluate(ORDINARY)
    assert (said.score, said.reason) == (None, "raised ValueError")


def test_one_that_hangs_is_left_behind_and_after_a_while_asked_no_more() -> None:
    started = []

    def hangs(request: Any) -> float:
        started.append(1)
        time.sleep(60)
        return 0.0

    own = Own("hangs", hangs, seconds=0.05)
    said = [own.evaluate(ORDINARY) for _ in range(PATIENCE + 2)]
    assert {s.score for s in said} == {None}
    assert len(started) == PATIENCE
    assert "asked no more" in said[-1].reason


def test_a_slow_or_raising_step_leaves_the_verdict_to_the_others(tmp_path: Path) -> None:
    (tmp_path / "my_bad_checks.py").write_text("def broken(request):\n    return 1 / 0\n")
    config = Config(
        directory=tmp_path,
        evaluation=EvaluationSection(evaluators=("overlap", "broken"), plugins=("my_bad_checks:broken",)),
    )
    verdict = build_cascade(config).evaluate_offline(request_of("Refunds take 14 days.", "Refunds take 14 days."))
    assert [(s.evaluator, s.score is None) for s in verdict.scores] == [("overlap", False), ("broken", True)]
    assert verdict.decisive.evaluator == "overlap"


@pytest.mark.parametrize(
    ("plugin", "message"), [("no_such_module:x", "cannot be imported"), ("json:no_such_name", "has no no_such_name")]
)
def test_what_is_not_there_is_said_in_one_line(plugin: str, message: str, tmp_path: Path) -> None:
    name = plugin.rpartition(":")[2]
    section = EvaluationSection(evaluators=("rules", name), plugins=(plugin,))
    with pytest.raises(ConfigError, match=message):
        build_cascade(Config(directory=tmp_path, evaluation=section))


def test_the_way_from_new_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluator", "new", "no_prices"]) == 0
    assert main(["evaluator", "new", "no_prices"]) == 2
    (tmp_path / "tidegauge.yaml").write_text(
        "evaluation:\n  plugins: ['no_prices:no_prices']\n  evaluators: [rules, overlap, no_prices]\n"
    )
    assert main(["check"]) == 0
    assert main(["evaluator", "list"]) == 0
    said = capsys.readouterr().out
    assert "no_prices" in said
    assert re.search(rf"injection +guard +{Injection.version} +{Injection.content_hash}", said)
    assert main(["evaluator", "test", "no_prices"]) == 0
    assert main(["evaluator", "test", "nobody"]) == 2
    (tmp_path / "no_prices.py").write_text("import random\n\ndef no_prices(request):\n    return random.random()\n")
    monkeypatch.delitem(__import__("sys").modules, "no_prices")
    assert main(["evaluator", "test", "no_prices"]) == 1
    assert "fail  is deterministic" in capsys.readouterr().out


def test_every_case_is_a_case() -> None:
    assert len(CASES) >= 10
