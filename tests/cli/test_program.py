"""The command of a hint works as it is typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tidegauge.program import called_as


def script(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / "tidegauge"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_off_the_path_it_is_named_by_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ours, other = script(tmp_path / ".venv" / "bin"), script(tmp_path / "other")
    assert called_as(str(ours), lambda _: None) == ".venv/bin/tidegauge"
    assert called_as(str(ours), lambda _: str(other)) == ".venv/bin/tidegauge"
    assert called_as(str(ours), lambda _: str(ours)) == "tidegauge"
    blank = script(tmp_path / "a folder" / "bin")
    monkeypatch.chdir(other.parent)
    assert called_as(str(blank), lambda _: None) == f"'{blank}'"
    assert called_as("pytest", lambda _: None) == "tidegauge"


def test_the_hint_of_the_demo_works_as_it_is_typed(tmp_path: Path) -> None:
    demo = [sys.executable, "-m", "tidegauge.cli", "demo", "--requests", "600", "--days", "2", "--regress", "none"]
    done = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, check=True)
    (hint,) = re.findall(r"next: (.*?)  +\(", done.stdout + done.stderr)
    environ = {"PATH": "/nowhere", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    shown = subprocess.run(hint, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "INTENT" in shown.stdout
