"""Content under a released version does not change. A red test here means: raise the version, then the hash."""

import subprocess
import sys

from evaluators.heuristics import Overlap
from evaluators.rubric import load_rubric
from evaluators.rules import Rules

RELEASED = {
    "rules 1.0.0": "049557f7082924ac341003e1071b158a",
    "overlap 1.0.0": "34d3402a342a91fae57105bca8ad34ff",
    "hallucination@1.0.0": "e019f5ec0b94786c89bc976b1bb5d494",
}


def test_released_content_stays_as_it_was() -> None:
    found = {f"{e.name} {e.version}": e.content_hash for e in (Rules(), Overlap())}
    rubric = load_rubric("hallucination@1.0.0")
    assert found | {rubric.reference: rubric.content_hash} == RELEASED


def test_hashes_do_not_depend_on_the_process() -> None:
    code = "from evaluators.heuristics import Overlap; print(Overlap.content_hash)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == Overlap.content_hash


def test_the_package_openai_is_loaded_only_when_a_judge_opens() -> None:
    code = "import sys, evaluators.files; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
