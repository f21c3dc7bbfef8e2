"""Shared by the tests of the evidence: items in a row, rows shown, sums recomputed."""

import pytest

from tests.service.world import NEW, request, table
from tidegauge.service.report import slo_rows
from tidegauge.slo import RateSums, item_terms, rate_terms
from tidegauge.slo.evidence import Rule


def month(n=60, deployment=NEW, start=0, first=0.0, every=0.5, **changes):
    return [request(start + i, first + i * every, deployment, **changes) for i in range(n)]


def rows(store):
    with store.read() as tx:
        return slo_rows(tx, {"*": 0.03})


def check_sums(store):
    """The incremental sums equal a recomputation from the outcomes."""
    bets = {key["test_key"]: key["bets"] for key in table(store, "test_keys")}
    tests, rates = {}, {}
    for o in table(store, "outcomes"):
        if o["test_key"] is None:
            continue
        rule = Rule(0.03, bets=bets[o["test_key"]])
        terms = item_terms(rule, o["f"], o["pi"], bool(o["reviewed"]), o["y"], u=o["u"])
        entry = tests.setdefault((o["test_key"], o["test_block"]), [0.0] * 8 + [0])
        for k, term in enumerate(terms):
            entry[k] += term
        entry[8] += o["y"]
        place = (o["test_key"], o["event_block"], o["evaluator_hash"], o["bin"])
        item = rate_terms(o["f"], o["pi"], bool(o["reviewed"]), bool(o["returned"]), o["y"], pi1=o["pi1"])
        rates[place] = rates.get(place, RateSums()).plus(item)
    kept = {
        (r["test_key"], r["block"]): [*(r[f"s{k}"] for k in range(8)), r["positives"]]
        for r in table(store, "test_sums")
    }
    assert kept.keys() == tests.keys()
    for place, expected in tests.items():
        assert kept[place] == pytest.approx(expected, abs=1e-9)
    kept = {
        (r["test_key"], r["block"], r["evaluator_hash"], r["bin"]): [r[name] for name in RateSums._fields]
        for r in table(store, "rate_sums")
    }
    assert kept.keys() == rates.keys()
    for place, expected in rates.items():
        assert kept[place] == pytest.approx(list(expected), abs=1e-6)
