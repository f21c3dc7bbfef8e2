"""From alert to cause on one page; whatever was logged, no personal data is on it."""

import json
import re
import string
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.world import KEY, clock, config
from tests.service.world import NEW, judge, label, request
from tidegauge.alerts.act import act
from tidegauge.cli import main
from tidegauge.demo import demo
from tidegauge.domain import Context
from tidegauge.service import retention
from tidegauge.service.masking import mask
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store
from tidegauge.testing.receiver import WebhookReceiver

ANSWER = "Ann\x1b[31m pays with 4111 1111 1111 1111; mail ann.lee@mail.example.org or call +49 170 1234567."


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """URL of a store with a breach that was sent, and the incident's id."""
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store(url)
    migrate(store)
    passages = (Context(text="IBAN DE89 3704 0044 0532 0130 00"),)
    bad = [request(n, 10 + n / 10, NEW, contexts=passages) for n in range(30)]
    bad = [msgspec.structs.replace(r, response=ANSWER, question="Is 2026-11-26 fine?") for r in bad]
    judge(store, bad, bins=[5] * 30)
    label(store, bad, True)
    with WebhookReceiver(KEY) as receiver:
        act(store, config(receiver.hook), clock(13))
    with store.read() as tx:
        found = tx.rows("incidents")[0]["incident"]
    store.close()
    return url, found


def test_the_page_tells_the_whole_story(incident: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    url, name = incident
    assert main(["--store", url, "explain", name]) == 0
    page = capsys.readouterr().out
    for word in ("What ", "Sure ", "Release ", "Done ", "Timeline", "breach → proposed: auto", "acknowledged: 200"):
        assert word in page
    assert "reviewed ann: hallucinated" in page
    assert "judged   judge: hallucinated 0.62" in page
    assert "Is 2026-11-26 fine?" in page
    assert "\x1b" not in page
    found = [word for word in ("4111", "ann.lee", "1234567", "3704") if word in page]
    assert found == []
    assert all(len(row) <= 130 for row in page.splitlines())


def test_texts_that_went_after_their_time_are_not_said_to_be_empty(
    incident: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, name = incident
    assert main(["--store", url, "incidents", "resolve", name]) == 0
    store = Store(url)
    assert retention.prune(store, 2**62).samples
    store.close()
    capsys.readouterr()
    assert main(["--store", url, "explain", name]) == 0
    page = capsys.readouterr().out
    assert "    text     removed after its time\n    judged " in page
    assert "nothing" not in page


def test_programs_get_the_same(incident: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    url, name = incident
    assert main(["--store", url, "explain", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["incident"]["id"] == name
    assert [event["to"] for event in found["timeline"]] == ["proposed", "approved", "sent", "acknowledged"]
    assert len(found["examples"]) == 5
    example = found["examples"][0]
    assert example["response"] == "Ann [31m pays with [card]; mail [e-mail] or call [phone]."
    assert example["contexts"] == ["IBAN [account]"]
    assert example["reviews"] == [{"reviewer": "ann", "hallucinated": True, "note": ""}]
    assert found["traffic"]["last_good"] is None
    assert found["release"].endswith("no last good one is known")


@pytest.mark.parametrize(
    ("environ", "arguments", "who", "why"),
    [
        ({"TIDEGAUGE_WHO": "the bot", "LOGNAME": "root"}, ["--who", "ann", "--why", "seen to"], "ann", "seen to"),
        ({"TIDEGAUGE_WHO": "the bot", "LOGNAME": "root"}, [], "the bot", "by command"),
        ({"TIDEGAUGE_WHO": "", "LOGNAME": "bob"}, ["--why", " "], "bob", "by command"),
    ],
)
def test_the_timeline_says_who_acted_and_why(
    incident: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    arguments: list[str],
    who: str,
    why: str,
) -> None:
    url, name = incident
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    for action in ("replay", "resolve"):
        assert main(["--store", url, "incidents", action, name, *arguments]) == 0
    assert (
        main(["--store", url, "stops", "set", "refunds", "--why", "x", *(["--who", "ann"] if who == "ann" else [])])
        == 0
    )
    capsys.readouterr()
    assert main(["--store", url, "explain", name, "--json"]) == 0
    events = json.loads(capsys.readouterr().out)["timeline"][-2:]
    assert [(e["what"], e["who"], e["why"]) for e in events] == [("replayed", who, why), ("resolved", who, why)]
    assert main(["--store", url, "stops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["who"] == who


@pytest.mark.parametrize(
    ("arguments", "done"),
    [([], "resolved by command"), (["--why", "rolled back by hand"], "resolved by command: rolled back by hand")],
)
def test_what_a_person_resolves_is_not_said_to_have_left(
    incident: tuple[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], done: str
) -> None:
    url, name = incident
    assert main(["--store", url, "incidents", "replay", name]) == 0
    assert main(["--store", url, "incidents", "resolve", name, *arguments]) == 0
    capsys.readouterr()
    assert main(["--store", url, "explain", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["done"] == done
    (delivery,) = found["incident"]["deliveries"]
    assert (delivery["status"], delivery["attempts"], delivery["last_status"]) == ("delivered", 1, "200")


def test_who_cannot_cancel_any_more_is_told_the_way_out(
    incident: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, name = incident
    cancel = ["--store", url, "incidents", "cancel", name]
    assert main(cancel) == 2
    assert f"to close it: tidegauge incidents resolve {name}" in capsys.readouterr().err
    assert main(["--store", url, "incidents", "replay", name]) == 0
    capsys.readouterr()
    assert main(cancel) == 2
    assert "tidegauge incidents resolve" in capsys.readouterr().err


def test_an_unknown_incident_is_one_line(incident: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", incident[0], "explain", "nothing"]) == 2
    assert "there is none of this id; see `tidegauge incidents`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to a.b+c@x-y.co.uk!", "write to [e-mail]!"),
        ("card 5500-0000-0000-0004, cvc", "card [card], cvc"),
        ("378282246310005", "[card]"),
        ("order 1234567890123456", "order [number]"),
        ("call (555) 123-4567 now", "call [phone] now"),
        ("call 0170/1234567", "call [phone]"),
        ("on 2026-11-26 or 26.11.2026", "on 2026-11-26 or 26.11.2026"),
        ("within 14 days, 25 euros, 3.0 %", "within 14 days, 25 euros, 3.0 %"),
        ("1,000,000 to 1", "1,000,000 to 1"),
        ("GB82 WEST 1234 5698 7654 32 it is", "[account] it is"),
    ],
)
def test_what_points_at_a_person_is_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@given(
    st.text(alphabet=string.ascii_letters + " .,\n", max_size=20),
    st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?@[a-z]{1,8}\.(com|org)", fullmatch=True),
    st.from_regex(r"\+[1-9][0-9]{8,12}", fullmatch=True),
    st.sampled_from(["", " ", "-"]),
)
def test_no_address_and_no_number_survives(text: str, email: str, phone: str, between: str) -> None:
    spread = phone[:4] + between + phone[4:7] + between + phone[7:]
    hidden = mask(f"{text} <{email}>, {spread}; {text}")
    assert email not in hidden
    assert spread not in hidden
    assert mask(hidden) == hidden


@given(st.text())
def test_any_text_can_be_masked(text: str) -> None:
    mask(text * 50)


@pytest.mark.faults
def test_readme_shows_the_real_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET", KEY)
    monkeypatch.delenv("TIDEGAUGE_SAMPLING_KEY")  # the demo has one of its own
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(Incident ([0-9a-f]+).*?)```", readme, re.DOTALL)
    assert block
    environ = {"TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET": KEY}
    demo.run(
        tmp_path / "demo",
        seed=1,
        regress="refunds.policy",
        requests=60_000,
        days=14,
        environ=environ,
        say=lambda _: None,
    )
    assert main(["--store", f"sqlite:///{tmp_path}/demo/tidegauge.db", "explain", block[2]]) == 0
    real = iter(capsys.readouterr().out.splitlines())
    for row in block[1].splitlines():
        assert row == "    …" or row in real, row  # in this order
