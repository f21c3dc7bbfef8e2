"""`tidegauge power` and `tidegauge sampling apply`."""

import json
from pathlib import Path

import pytest

from tests.support.logs import NOON, line
from tidegauge.cli import main
from tidegauge.domain import iso

MINUTE = 60_000_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two intents, one a tenth of the other, and a sampling rate of a half."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    rows = [
        line(request_id=f"r-{n}", timestamp=iso(NOON + n * MINUTE), intent="rare" if n % 11 == 0 else "refunds.policy")
        for n in range(440)
    ]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 0.5}\n")
    assert main(["run"]) == 0
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["power", "--json", *arguments]) == 0
    found: dict = json.loads(capsys.readouterr().out)
    return found


def test_the_plan_of_a_store_can_be_applied(place: Path, capsys):
    found = said(capsys, "--minimum", "30")
    assert [row["intent"] for row in found["intents"]] == ["rare", "refunds.policy"]
    rates = {row["intent"]: row["rate"] for row in found["plan"]["rows"]}
    assert rates["rare"] == pytest.approx(0.75, abs=0.01)
    assert rates["rare"] * 40 + rates["refunds.policy"] * 400 == pytest.approx(220, abs=1)
    (place / "plan.json").write_text(json.dumps(found))
    assert main(["sampling", "apply", "plan.json"]) == 0
    capsys.readouterr()
    assert main(["sampling", "show", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)
    assert {row["intent"]: row["rate"] for row in plans} == {"*": 0.5, **rates}
    assert plans[1]["valid_from"] == plans[2]["valid_from"]


def test_given_traffic_needs_no_store(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ("--requests-per-day", "10000", "--labels-per-day", "100", "--specificity", "0.9")
    found = said(capsys, *arguments)["intents"][0]
    assert [round(one["to"], 3) for one in found["detect"]] == [0.04, 0.06, 0.1]
    assert (found["judged_per_day"], found["specificity"]) == (200, 0.9)
    assert 0 < found["detect"][2]["median_days"] < 2
    assert not list(tmp_path.iterdir())
    assert main(["power", *arguments, "--plot", "p.png"]) == 0
    assert "2.0% -> 10.0%: rolled back after" in capsys.readouterr().out
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["power", "--sensitivity", "0.8"], "give it too"),
        (["power", "--requests-per-day", "0"], "must be above 0"),
        (["power", "--requests-per-day", "5", "--sensitivity", "7"], "at most 1"),
        (["power", "--requests-per-day", "5", "--plot", "p.doc"], "must end in .png"),
        (["sampling", "apply", "none.json"], "cannot be read"),
        (["sampling", "apply", "bad.json"], "no JSON"),
        (["sampling", "apply", "empty.json"], "no rows"),
        (["sampling", "apply", "row.json"], "row 2: needs the name"),
        (["sampling", "apply", "twice.json"], "a has a row already"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, monkeypatch, arguments, error, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'logs/*.jsonl'}]\n")
    a = {"intent": "a", "rate": 0.1}
    for name, rows in {"empty": [], "row": [a, {"rate": 1}], "twice": [a, a]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": rows}))
    (tmp_path / "bad.json").write_text("{")
    assert main(arguments) == 2
    assert error in capsys.readouterr().err


def test_errors_about_a_store_that_is_there(place: Path, capsys):
    (place / "high.json").write_text(json.dumps({"rows": [{"intent": "rare", "rate": 2}]}))
    assert main(["power", "--intent", "nothing"]) == 2
    assert "no such traffic" in capsys.readouterr().err
    assert main(["sampling", "apply", "high.json"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
