"""One word about a deployment."""

import json

from tests.service.test_budget import fill
from tests.service.world import NEW, OLD, decide_all, judge, request
from tidegauge.config import Config
from tidegauge.service.verdict import verdict
from tidegauge.storage.store import Store


def said(store: Store, intent: str = "refunds", deployment: str | None = None) -> dict:
    with store.read() as tx:
        found = verdict(tx, Config().slo, intent, deployment)
    json.dumps(found, allow_nan=False)
    return found


def test_what_nobody_saw_is_inconclusive(store: Store):
    found = said(store)
    assert (found["phase"], found["reason"]) == ("inconclusive", "no traffic of this intent")
    fill(store, 0, 50, 0, 0, OLD)
    assert said(store, deployment=NEW.id)["reason"] == "no traffic of this deployment"
    assert said(store, deployment=NEW.id).keys() == said(store).keys()


def test_the_newest_deployment_is_meant_unless_one_is_named(store: Store):
    fill(store, 0, 50, 0, 0, OLD)
    fill(store, 7, 50, 40, 100, NEW)
    decide_all(store)
    newest, old = said(store), said(store, deployment=OLD.id)
    assert (newest["deployment"]["id"], newest["phase"], newest["proven"]) == (NEW.id, "failed", True)
    assert (old["deployment"]["id"], old["phase"], old["proven"]) == (OLD.id, "successful", False)


def test_what_is_not_known_well_enough_is_inconclusive(store: Store):
    judge(store, [request(n) for n in range(30)])
    assert said(store)["reason"] == "nothing is labelled yet"
    fill(store, 1, 10, 0, 100)
    assert said(store)["reason"] == "10 labels, 20 are needed"
    fill(store, 2, 20, 3, 200)
    found = said(store)
    assert found["phase"] == "inconclusive"
    assert "above 3 %, but not proven" in found["reason"]


def test_many_good_answers_are_proven_to_be_good(store: Store):
    fill(store, 0, 300, 0, 0)
    assert (said(store)["phase"], said(store)["proven"]) == ("successful", True)
