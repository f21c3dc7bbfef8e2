"""A judge that is slower than the log, and a rule that says how long a sample waits for it."""

from pathlib import Path

import pytest

from tests.distributed.streaming import Stream, counts
from tests.support.logs import line
from tidegauge.testing.judge_server import JudgeServer

SAMPLES = 120


def test_what_waits_too_long_for_a_judge_goes_without_and_is_counted(prism: dict[str, str], tmp_path: Path) -> None:
    log, url = tmp_path / "log.jsonl", f"sqlite:///{tmp_path}/store.db"
    log.write_bytes(b"".join(line(request_id=f"r-{n}", response=f"Answer {n}.") + b"\n" for n in range(SAMPLES)))
    rule = {"shed_after_hours": 10 / 3600, "in_flight_samples": 16}
    with JudgeServer(latency=0.4) as judge:
        config = {
            "sources": [{"files": str(log)}],
            "sampling": {"rate": 1.0},
            "judge": {"base_url": judge.base_url, "model": "m", "concurrency": 2},
            "stream": {"prism": prism, "tick_seconds": 0.2, **rule},
        }
        with Stream(tmp_path / "stream", "prism", url, config) as stream:
            stream.wait_until_done(SAMPLES, 300)
            stream.stop()
        answered = judge.counters.answered
    evaluation = counts(url)["evaluation"]
    shed = evaluation["shed"]
    assert 0 < shed < SAMPLES
    assert answered == SAMPLES - shed
    assert evaluation["coverage"] == pytest.approx(1 - shed / SAMPLES)
