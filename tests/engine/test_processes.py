"""Servers in the background: started once, known again by another process, ended with their children."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.engines import free_ports
from tidegauge.engine.flink import Flink
from tidegauge.engine.processes import Process, listens, wait_until
from tidegauge.errors import EngineError


def _serve(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]


def test_a_server_is_known_again_and_started_only_once(tmp_path: Path) -> None:
    port = free_ports(1)
    Process("web", tmp_path).start(_serve(port))
    wait_until(lambda: listens(port), Process("web", tmp_path), 20)
    first = Process("web", tmp_path).process()
    Process("web", tmp_path).start(_serve(port))
    assert first is not None
    assert Process("web", tmp_path).process() == first
    assert Process("web", tmp_path).stop()
    assert not listens(port)
    assert not Process("web", tmp_path).stop()


def test_children_end_with_their_server(tmp_path: Path) -> None:
    parent = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    process = Process("parent", tmp_path)
    process.start([sys.executable, "-c", parent])
    found = process.process()
    assert found is not None
    wait_until(lambda: bool(found.children()), process, 20)
    (child,) = found.children()
    process.kill()
    assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_id_that_others_have_got_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "web.pid").write_text(f"{psutil.Process().pid} 1.0")
    assert Process("web", tmp_path).process() is None
    assert not Process("web", tmp_path).stop()  # and we still live


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    process = Process("web", tmp_path)
    process.start([sys.executable, "-c", "raise SystemExit('no such port')"])
    with pytest.raises(EngineError, match="no such port"):
        wait_until(lambda: False, process, 20)


def test_task_managers_of_an_earlier_start_are_ended_as_well(tmp_path: Path) -> None:
    added = Process("task-manager-2", tmp_path)
    added.start([sys.executable, "-c", "import time; time.sleep(600)"])
    found = added.process()
    assert found is not None
    flink = Flink(tmp_path, task_managers=1, work=tmp_path)
    assert [part.name for part in flink.status() if part.pid] == ["task-manager-2"]
    assert flink.stop()
    assert not found.is_running()
