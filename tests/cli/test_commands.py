"""Commands as users call them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.logs import line
from tidegauge.cli import main

HEAVY = ("apache_beam", "numpy", "scipy", "sqlalchemy", "openai", "yaml", "msgspec")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom tidegauge.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "review" in done.stdout
    assert done.stderr.strip() == "[]"


def test_a_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["init"]) == 2  # never overwrites
    assert main(["check"]) == 0
    assert main(["run"]) == 0
    assert "no record was found; next: `tidegauge check`" in capsys.readouterr().err
    (tmp_path / "logs").mkdir()
    rows = [line(request_id=f"r-{n}") for n in range(200)]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    capsys.readouterr()
    assert main(["run"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seen"] == 200 == found["unsampled"] + found["sampled"]
    for command in (["status"], ["slo"], ["incidents"], ["tickets"], ["sampling", "show"]):
        assert main(command) == 0
    assert capsys.readouterr().out
    assert main(["dump", "--canonical"]) == 0
    assert all(json.loads(row)["table"] for row in capsys.readouterr().out.splitlines())
    for command in (["slo"], ["incidents"], ["tickets"]):
        assert main([*command, "--json"]) == 0
        assert isinstance(json.loads(capsys.readouterr().out), list)


def test_what_is_next_after_init_works_as_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my project"]) == 0
    assert "next: `cd 'my project'`, set `sources` to your log, then `tidegauge check`" in capsys.readouterr().err
    assert main(["check"]) != 0
    monkeypatch.chdir(tmp_path / "my project")
    assert main(["check"]) == 0
    for name in (".", str(tmp_path / "here")):
        (tmp_path / "here").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "here")
        for path in Path().rglob("*.yaml"):
            path.unlink()
        capsys.readouterr()
        assert main(["init", name]) == 0
        assert "next: set `sources`" in capsys.readouterr().err


def test_labels_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text(
        "sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 1}\nreview: {labels_per_day: 50}\n"
    )
    (tmp_path / "logs").mkdir()
    rows = [line(request_id=f"r-{n}") for n in range(50)]
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    assert main(["run"]) == 0
    assert main(["review", "export", "cases.jsonl"]) == 0
    cases = [json.loads(text) for text in (tmp_path / "cases.jsonl").read_text().splitlines()]
    assert len(cases) == 50
    labels = [{"request_id": c["request_id"], "hallucinated": False, "reviewer": "ann"} for c in cases]
    labels += [labels[0], {"request_id": "nobody", "hallucinated": True, "reviewer": "ann"}]
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in labels) + "\nnot json\n")
    capsys.readouterr()
    assert main(["review", "import", "labels.jsonl"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["applied"], report["doubled"], report["unknown"], report["bad"]) == (50, 1, 1, 1)
    assert main(["slo", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["judged"], row["labelled"], row["state"], row["rate"]) == (50, 50, "ok", 0.0)


def test_a_file_without_any_label_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text(
        "sources: [{files: 'logs/*.jsonl'}]\nsampling: {rate: 1}\nreview: {labels_per_day: 50}\n"
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(line(request_id=f"r-{n}") for n in range(5)) + b"\n")
    assert main(["run"]) == 0
    nobody = '{"request_id": "nobody", "hallucinated": true, "reviewer": "ann"}\n'
    good = nobody.replace("nobody", "r-1")

    def code(text: str) -> tuple[int, str]:
        (tmp_path / "labels").write_text(text)
        capsys.readouterr()
        return main(["review", "import", "labels"]), capsys.readouterr().err

    code_of_csv, said = code("\nrequest_id,hallucinated,reviewer\nr-1,true,ann\n")
    assert code_of_csv == 1
    assert "labels: no label was taken: line 2: JSON is malformed" in said
    assert len(said.splitlines()) == 1
    assert code(nobody) == (
        1,
        "tidegauge: labels: no label was taken: 1 unknown, the first is nobody: no such request was sampled\n",
    )
    assert code("") == code("\n\n") == (0, "")
    assert code(nobody + "no JSON\n" + good) == (0, "")
    assert code("\N{BYTE ORDER MARK}" + good.replace("r-1", "r-2")) == (0, "")
    # The same file again: nothing is applied, and nothing was lost.
    assert code(good) == code(good + nobody) == (0, "")


def test_evaluate_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": 1, "contexts": ["It takes ten days."], "response": "It takes ten days.", "label": False},
        {"id": 2, "contexts": ["It takes ten days."], "response": "Mr Parker pays 900 euros in Rome.", "label": True},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["evaluate", "in.jsonl", "--out", "out.jsonl", "--labels", "label"]) == 0
    assert json.loads(capsys.readouterr().out)["quality"]["overlap"]["auroc"] == 1.0
    scores = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {(s["id"], s["evaluator"]) for s in scores} == {
        (n, e) for n in (1, 2) for e in ("rules", "overlap", "groundedness")
    }


def test_a_file_is_judged_by_the_evaluators_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "contexts": ["Ten days."], "response": "Ten days."}\n')
    assert main(["evaluate", "in.jsonl", "--out", "out.jsonl"]) == 0
    assert "judged by rules, overlap, groundedness; there is no configuration here" in capsys.readouterr().err
    assert main(["init"]) == 0
    assert main(["check"]) == 0
    assert "evaluators rules, overlap\n" in capsys.readouterr().out
    assert main(["evaluate", "in.jsonl", "--out", "out.jsonl"]) == 0
    assert "judged by rules, overlap\n" in capsys.readouterr().err
    scores = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [s["evaluator"] for s in scores] == ["rules", "overlap"]


@pytest.mark.parametrize(
    "command",
    [
        ["frob"],
        ["run", "--every", "soon"],
        ["sampling", "set", "2"],
        ["incidents", "approve", "x"],
        ["status", "--store", "x"],
    ],
)
def test_a_wrong_call_is_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: 'logs/*.jsonl'}]\n")
    assert main(command) in (1, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert "Traceback" not in printed.err
