"""Who decides."""

import pickle

import pytest

from evaluators.heuristics import Overlap
from evaluators.injection import Injection
from evaluators.rubric import load_rubric
from evaluators.rules import Rules
from tests.evaluators.requests import REFUNDS, cascade_of, request_of
from tidegauge.config import JudgeSection
from tidegauge.domain import UNSCORED_BIN, EvaluationState
from tidegauge.errors import ConfigError

JUDGE = JudgeSection(base_url="http://127.0.0.1:9/v1", model="m")
NAMES = ("rules", "overlap", "judge")


def test_a_sure_rule_ends_it() -> None:
    begun = cascade_of(NAMES, JUDGE).begin(request_of("I don't know.", REFUNDS))
    assert begun.verdict is not None
    assert [s.evaluator for s in begun.verdict.scores] == ["rules"]
    assert begun.verdict.decisive.evaluator == "rules"


def test_otherwise_the_judge_is_wanted_where_there_is_one() -> None:
    begun = cascade_of(NAMES, JUDGE).begin(request_of("It takes 14 days.", REFUNDS))
    assert begun.verdict is None
    assert [s.evaluator for s in begun.scores] == ["rules", "overlap"]


def test_without_a_judge_the_last_that_scored_decides() -> None:
    verdict = cascade_of(NAMES).evaluate_offline(request_of("Zebras dance in Timbuktu.", REFUNDS))
    assert (verdict.state, verdict.decisive.evaluator) == (EvaluationState.JUDGED, "overlap")
    assert verdict.bin == 7


def test_nobody_scored_is_unscored_never_fine() -> None:
    verdict = cascade_of(NAMES).evaluate_offline(request_of("Zebras dance."))
    assert (verdict.state, verdict.bin) == (EvaluationState.UNSCORED, UNSCORED_BIN)
    assert verdict.decisive.score is None
    assert verdict.reason == "no contexts"


def test_a_judge_without_a_base_url_takes_no_part() -> None:
    assert cascade_of(NAMES, JudgeSection()).judges == ()
    assert cascade_of(("rules", "overlap"), JUDGE).judges == ()
    assert [judge.name for judge in cascade_of(NAMES, JUDGE).judges] == ["judge"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("rulez",), "did you mean 'rules'"),
        (("xyz",), "there are rules, overlap, groundedness, judge"),
        (("judge", "rules"), "stands behind a judge"),
        (("rules", "rules"), "named twice"),
        (("judge",), "at least one"),
        ((), "at least one"),
    ],
)
def test_a_cascade_that_cannot_be_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cascade_of(names, JUDGE)


def test_artifacts_name_everything_that_verdicts_rest_on() -> None:
    (judge,) = cascade_of(NAMES, JUDGE).judges
    rubric = load_rubric("hallucination@1.0.0")
    assert cascade_of(NAMES, JUDGE).artifacts() == (
        ("evaluator", "injection", "1.0.0", Injection.content_hash),
        ("evaluator", "rules", "1.0.0", Rules.content_hash),
        ("evaluator", "overlap", "1.0.0", Overlap.content_hash),
        ("evaluator", "judge", judge.version, judge.content_hash),
        ("rubric", "hallucination", "1.0.0", rubric.content_hash),
    )


def test_settings_travel_between_processes_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_JUDGE_API_KEY", "sk-very-secret")
    data = pickle.dumps((NAMES, JUDGE))
    assert b"sk-very-secret" not in data
    names, settings = pickle.loads(data)
    assert cascade_of(names, settings).artifacts() == cascade_of(NAMES, JUDGE).artifacts()
