"""What goes on beside a running job: metrics over HTTP, and verdicts to a collector."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.support.logs import line
from tests.telemetry.test_otlp import Collector

DEADLINE = 60.0


def until(true: Callable[[], object], job: subprocess.Popen[str]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert job.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_running_job_is_scraped_and_exports_its_verdicts(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(30)))
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: log.jsonl}]\nsampling: {rate: 1}\n")
    with Collector() as collector:
        environ = {**os.environ, "TIDEGAUGE_TELEMETRY_OTLP_ENDPOINT": collector.url}
        command = [sys.executable, "-m", "tidegauge.cli", "run", "--every", "60s", "--metrics-port", "0"]
        with (
            (tmp_path / "errors").open("w") as errors,
            subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=errors, text=True) as job,
        ):
            until(lambda: len(set(collector.ids())) == 30, job)
            said = (tmp_path / "errors").read_text()
            found = re.search(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", said)
            assert found
            with urllib.request.urlopen(found[1], timeout=10) as answer:
                text = answer.read().decode()
            job.send_signal(signal.SIGTERM)
            assert job.wait(DEADLINE) == 0
    assert re.search(r'^tidegauge_judged_total\{intent="[^"]+"\} 30\.0$', text, re.MULTILINE)
