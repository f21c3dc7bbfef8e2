"""Promises about the source that no other tool checks, and README's commands."""

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.logs import line
from tidegauge.cli import main

ROOT = Path(__file__).parents[2]
SOURCES = [
    p for room in ("tidegauge", "pipelines", "evaluators", "benchmarks", "tests") for p in (ROOT / room).rglob("*.py")
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def commands(language: str) -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)
    return [row.split("#")[0].strip() for block in blocks for row in block.splitlines() if row.split("#")[0].strip()]


def test_readme_s_make_targets_exist() -> None:
    for command in commands("sh"):
        done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, command


def test_readme_s_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    rows = [line(request_id=f"r-{n}") for n in range(60)]
    (tmp_path / "logs" / "requests.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (tmp_path / "answers.jsonl").write_text('{"id": 1, "contexts": ["Ten days."], "response": "Ten days."}\n')
    found = commands("console")
    assert len(found) >= 10
    for command in found:
        program, *arguments = shlex.split(command)
        assert program == "tidegauge"
        assert main(arguments) == 0, command
        if arguments == ["review", "export", "cases.jsonl"]:
            cases = (tmp_path / "cases.jsonl").read_text().splitlines()
            said = [
                {"request_id": json.loads(c)["request_id"], "hallucinated": False, "reviewer": "ann"} for c in cases
            ]
            (tmp_path / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in said))
