"""The pages on objectives and metrics: their documents are right, and what they promise of sizes is the code's."""

import json
import re
from pathlib import Path

from tests.docs.test_docs import DOCS, blocks
from tidegauge.config_load import load
from tidegauge.openslo import JUDGED, read_text, resolve
from tidegauge.openslo.objectives import COUNTED
from tidegauge.service.verdict import FEWEST_LABELS, verdict
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store


def test_the_documents_shown_are_right(tmp_path: Path) -> None:
    shown = blocks(DOCS / "objectives.md", "yaml")
    documents = [text for text in shown if "apiVersion" in text]
    assert len(documents) == 2
    for text in documents:
        placed, problems = read_text(text, "a.yaml")
        slos, wrong = resolve(placed)
        assert (len(slos), problems + wrong) == (1, [])
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "a.yaml").write_text("---\n".join(documents))
    for text in [*shown, *blocks(DOCS / "metrics.md", "yaml")]:
        if "# tidegauge.yaml" in text:
            (tmp_path / "tidegauge.yaml").write_text(text)
            load(tmp_path / "tidegauge.yaml", {})


def test_every_indicator_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "objectives.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {"hallucination", *COUNTED, *JUDGED}


def test_the_verdict_has_the_shape_that_is_shown(tmp_path: Path) -> None:
    (text,) = blocks(DOCS / "metrics.md", "json")
    store = Store(f"sqlite:///{tmp_path}/a.db")
    migrate(store)
    with store.read() as tx:
        found = verdict(tx, lambda *_: None, "refunds")
    store.close()
    assert json.loads(text).keys() == found.keys()
    assert f"at least {FEWEST_LABELS} labels" in (DOCS / "metrics.md").read_text(encoding="utf-8")
