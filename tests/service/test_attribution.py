"""Attribution of stored histories."""

import json

import pytest
from msgspec import structs

from tests.service.world import NOW, decide_all, judge, label, request, table
from tidegauge.cli import main
from tidegauge.domain import Deployment
from tidegauge.service import attribution, mixes
from tidegauge.service.attribution import attribute
from tidegauge.storage import evidence
from tidegauge.storage.store import Store

TENANTS = ("acme", "bolt", "cord", "dyne")


def deployed(model: str = "m-1", prompt: str = "support-answer@3.1.0", index: str = "i-1") -> Deployment:
    return Deployment(model_version=model, prompt_version=prompt, retrieval_index=index)


GOOD = deployed()
BAD = deployed(prompt="support-answer@3.2.0")
LATER = (
    deployed(prompt="support-answer@3.2.0", index="i-2"),
    deployed(prompt="support-answer@3.2.0", index="i-3"),
    deployed("m-2", "support-answer@3.2.0", "i-3"),
)
ALWAYS = dict.fromkeys(TENANTS, 0.03)
WORSE = dict.fromkeys(TENANTS, 0.2)


def release(store, place, deployment, rates=ALWAYS, weights=(1, 1, 1, 1), count=160, **segments):
    """Three days of one deployment, everything reviewed; every tenant has exactly its rate of bad answers."""
    turn = [name for name, weight in zip(TENANTS, weights, strict=True) for _ in range(weight)]
    requests = [
        request(1000 * place + n, 72 * place + n * 70 / count, deployment, tenant=turn[n % len(turn)], **segments)
        for n in range(count)
    ]
    seen, bad = dict.fromkeys(TENANTS, 0.5), []
    for one in requests:
        seen[one.tenant] += rates[one.tenant]
        if seen[one.tenant] >= 1:
            seen[one.tenant] -= 1
            bad.append(one)
    judge(store, requests)
    label(store, bad, True)
    label(store, [one for one in requests if one not in bad], False)


def found(store: Store, deployment: Deployment):
    with store.read() as tx:
        return attribute(tx, "refunds", deployment.id)


def test_a_prompt_is_traced_through_three_later_releases(store: Store):
    for place, (deployment, rates) in enumerate([(GOOD, ALWAYS), *((d, WORSE) for d in (BAD, *LATER))]):
        release(store, place, deployment, rates)
    told = found(store, LATER[-1])
    assert told.said.startswith("Traced to prompt support-answer@3.2.0, introduced three releases ago.")
    assert (told.part, told.value, told.identified) == ("prompt_version", "support-answer@3.2.0", True)
    assert told.against["id"] == GOOD.id
    assert told.releases_ago == 3
    assert told.since_low <= told.since <= told.since_high
    assert told.mix.before < 0.06 < told.mix.raw
    assert told.mix.fixed_mix == told.mix.raw / told.mix.factor
    assert told.concentrated == ()


def test_prompt_and_index_that_changed_together_cannot_be_told_apart(store: Store):
    both = deployed(prompt="support-answer@3.2.0", index="i-2")
    release(store, 0, GOOD)
    release(store, 1, both, WORSE)
    told = found(store, both)
    assert told.said.startswith("Cannot tell: prompt and index changed together")
    assert (told.part, told.identified, told.changed) == (None, False, True)
    assert told.against["id"] == GOOD.id


def test_a_later_release_tells_them_apart(store: Store):
    both = deployed(prompt="support-answer@3.2.0", index="i-2")
    release(store, 0, GOOD)
    release(store, 1, both, WORSE)
    release(store, 2, deployed(index="i-2"))
    assert found(store, both).part == "prompt_version"


def test_a_rise_in_one_tenant_is_named(store: Store):
    release(store, 0, GOOD)
    release(store, 1, BAD, ALWAYS | {"cord": 0.6})
    told = found(store, BAD)
    assert told.part == "prompt_version"
    assert [(c.dimension, c.value) for c in told.concentrated] == [("tenant", "cord")]
    assert "Concentrated in tenant cord." in told.said


def test_a_mix_shift_is_told_from_a_change(store: Store):
    hard = ALWAYS | {"dyne": 0.3}
    release(store, 0, GOOD, hard, (3, 3, 3, 1), count=300)
    release(store, 1, BAD, hard, (1, 1, 1, 7), count=300)
    told = found(store, BAD)
    assert (told.part, told.mix_only, told.changed) == (None, True, False)
    assert told.said.startswith("The mix of traffic moved towards tenant dyne; no release did it.")
    assert told.mix.raw > 2.5 * told.mix.before
    assert told.mix.fixed_mix < 1.5 * told.mix.before
    assert (told.mix.moved[0].dimension, told.mix.moved[0].value) == ("tenant", "dyne")


def test_a_breach_that_the_mix_explains_is_a_ticket_and_no_rollback(store: Store):
    hard = ALWAYS | {"dyne": 0.3}
    release(store, 0, GOOD, hard, (12, 12, 12, 1), count=400)
    release(store, 1, BAD, hard, (1, 1, 1, 12), count=400)
    decisions = decide_all(store)
    assert any(decision.breach for decision in decisions)
    assert table(store, "incidents") == []
    tickets = {row["kind"]: row for row in table(store, "tickets")}
    assert "The mix of traffic moved towards tenant dyne" in tickets["mix_shift"]["evidence"]


def shifted(store: Store) -> None:
    """A breach that the mix alone explains, and its ticket."""
    hard = ALWAYS | {"dyne": 0.3}
    release(store, 0, GOOD, hard, (12, 12, 12, 1), count=400)
    release(store, 1, BAD, hard, (1, 1, 1, 12), count=400)
    decide_all(store)
    assert mix_states(store) == ["open"]


def mix_states(store: Store) -> list[str]:
    return [row["state"] for row in table(store, "tickets") if row["kind"] == "mix_shift"]


def test_the_ticket_of_a_mix_ends_with_its_deployment(store: Store):
    shifted(store)
    with store.write() as tx:
        mixes.check(tx, NOW)
    assert mix_states(store) == ["open"]
    late = request(9000, 100, BAD, tenant="dyne")
    judge(store, [late, request(9001, 72 + 95, GOOD, tenant="acme")])
    with store.write() as tx:
        mixes.check(tx, NOW)
    assert mix_states(store) == ["closed"]
    label(store, [late], False)
    decide_all(store)
    assert mix_states(store) == ["closed"]


def test_the_ticket_of_a_mix_ends_with_its_breach(store: Store):
    shifted(store)
    bad = {row["request_id"] for row in table(store, "outcomes") if row["y"]}
    label(store, [one for one in (request(1000 + n) for n in range(400)) if one.request_id in bad], False)
    assert not any(decision.breach for decision in decide_all(store))
    assert mix_states(store) == ["closed"]


def test_mix_shifts_of_two_indicators_are_two_tickets(store: Store, monkeypatch: pytest.MonkeyPatch):
    hard = ALWAYS | {"dyne": 0.3}
    release(store, 0, GOOD, hard, (3, 3, 3, 1), count=300)
    release(store, 1, BAD, hard, (1, 1, 1, 7), count=300)
    told = found(store, BAD)
    monkeypatch.setattr(attribution, "attribute", lambda *_: told)
    with store.write() as tx:
        key = next(key for key in evidence.keys(tx) if key.deployment == BAD.id)
        for one in (key, structs.replace(key, indicator="refusal")):
            assert mixes.alone(tx, one, "platform", NOW)
    subjects = [json.loads(row["subject"]) for row in table(store, "tickets") if row["kind"] == "mix_shift"]
    of_test = {"intent": key.intent, "deployment": BAD.id, "episode": key.episode}
    assert sorted(subjects, key=len) == [of_test, of_test | {"indicator": "refusal"}]


def test_a_rise_beside_a_mix_shift_is_rolled_back(store: Store):
    release(store, 0, GOOD, ALWAYS, (3, 3, 3, 1), count=300)
    release(store, 1, BAD, WORSE, (1, 1, 1, 7), count=300)
    assert any(decision.incident for decision in decide_all(store))


def test_a_cohort_that_is_the_deployment_is_no_mix(store: Store):
    release(store, 0, GOOD)
    release(store, 1, BAD, WORSE, cohort="canary")
    told = found(store, BAD)
    assert told.part == "prompt_version"
    assert not told.mix_only
    assert told.mix.moved == ()
    assert any(decision.incident for decision in decide_all(store))


def test_no_change_and_no_data_are_said(store: Store):
    assert "nothing of this intent" in found(store, GOOD).said
    release(store, 0, GOOD)
    assert "no earlier deployment" in found(store, GOOD).said
    release(store, 1, BAD)
    assert found(store, BAD).said.startswith("No change is shown")


def test_labels_that_did_not_come_yet_are_no_absence_of_findings(store: Store):
    release(store, 0, GOOD)
    judge(store, [request(5000 + n, 73 + n / 3, BAD, tenant="acme") for n in range(100)])
    told = found(store, BAD)
    assert not told.changed
    release(store, 1, BAD, WORSE)
    assert found(store, BAD).part == "prompt_version"


def test_without_any_label_nothing_is_claimed(store: Store):
    judge(store, [request(n, n / 3, GOOD if n < 50 else BAD) for n in range(100)])
    told = found(store, BAD)
    assert (told.changed, told.part, told.mix.raw) == (False, None, None)


def test_the_command(store: Store, capsys):
    release(store, 0, GOOD)
    release(store, 1, BAD, WORSE)
    assert main(["--store", store.url, "attribute", "--intent", "refunds", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["part"] == "prompt_version"
    assert main(["--store", store.url, "attribute", "--intent", "refunds"]) == 0
    assert "Traced to prompt support-answer@3.2.0, introduced with this release." in capsys.readouterr().out
    assert main(["--store", store.url, "attribute", "--intent", "nothing"]) == 2
    assert "no request of it was read" in capsys.readouterr().err
