"""The arithmetic of `tidegauge capacity`, on figures that can be checked by hand, and the command."""

import json
import math

import pytest

from tests.service.world import judge, request
from tidegauge.cli import main
from tidegauge.service.capacity import FEWEST_RECORDS, Coefficients, Load, Own, StoreBytes, needs, own, shipped
from tidegauge.storage import flow
from tidegauge.storage.store import Store

KNOWN = Coefficients(
    measured="2026-01-01",
    machine="none",
    records_per_core_second=1_000,
    samples_per_core_second=100,
    judged_per_core_second=50,
    bytes_per_record=2_000,
    sqlite=StoreBytes(sample=1_000, rollup_row=100),
    postgresql=StoreBytes(sample=2_000, rollup_row=300),
)


def load(**changes) -> Load:
    usual = {"requests_per_day": 86_400_000, "rate": 0.01, "peak": 2, "record_bytes": 2_000, "segments": 10}
    usual |= {"accounts": 100, "judges": 1, "judge_seconds": 2, "tokens_in": 1_000, "tokens_out": 100}
    return Load(**(usual | {"retention_days": 10} | changes))


def test_the_arithmetic() -> None:
    found = needs(load(), KNOWN, (1_000.0, 5_000.0))
    assert found["requests_per_second"] == {"mean": 1_000, "peak": 2_000}
    assert found["cores"] == pytest.approx({"scan": 2, "samples": 0.2, "judge": 0.4})
    assert found["workers"] == math.ceil(2.6 / 0.6)
    assert found["judge"]["calls_per_day"] == 864_000
    assert found["judge"]["concurrency"] == 2_000 * 0.01 * 2
    assert found["judge"]["usd_per_day"] == pytest.approx(864_000 * (1_000 * 1e-6 + 100 * 5e-6))
    assert found["store"]["sqlite"]["samples_per_day"] == pytest.approx(864e6)
    assert found["store"]["sqlite"]["rollups_per_day"] == (288 * 10 + 100) * 100
    assert found["store"]["postgresql"]["retained"] == pytest.approx(10 * (864_000 * 2_000 + 2_980 * 300))
    assert needs(load(requests_per_day=8.64e9), KNOWN, (0.0, 0.0))["kafka_partitions"] == 40


def test_without_a_judge_there_are_no_calls_and_no_money() -> None:
    found = needs(load(judges=0), KNOWN, (1.0, 1.0))
    assert (found["judge"]["calls_per_day"], found["judge"]["usd_per_day"], found["cores"]["judge"]) == (0, None, 0)


def test_every_judge_is_asked_about_a_sample() -> None:
    one, three = (needs(load(judges=n), KNOWN, (1_000.0, 5_000.0)) for n in (1, 3))
    assert three["cores"]["judge"] == pytest.approx(3 * one["cores"]["judge"])
    for name in ("calls_per_day", "concurrency"):
        assert three["judge"][name] == pytest.approx(3 * one["judge"][name])


def test_an_unknown_price_is_not_nothing() -> None:
    assert needs(load(), KNOWN, (math.nan, math.nan))["judge"]["usd_per_day"] is None


def test_rollups_are_never_more_than_requests() -> None:
    found = needs(load(requests_per_day=10), KNOWN, (0.0, 0.0))["store"]["sqlite"]
    assert found["rollups_per_day"] == 2 * 10 * 100


def test_a_store_s_own_figures_count_once_there_are_enough(store: Store) -> None:
    def add(units: int) -> None:
        row = {"kind": "block", "bucket": 3, "observations": 1, "total": 1_000_000, "units": units}
        with store.write() as tx:
            flow.add_timings(tx, [row])

    judge(store, [request(n) for n in range(3)])
    add(FEWEST_RECORDS - 1)
    with store.read() as tx:
        assert own(tx) == Own()
    add(1)
    with store.write() as tx:
        tx.script("UPDATE score_totals SET calls = 120, input_tokens = 60000, output_tokens = 1200")
        assert own(tx) == Own(FEWEST_RECORDS / 2, 500, 10)


def test_the_shipped_figures_are_there() -> None:
    known = shipped()
    assert known.records_per_core_second > known.samples_per_core_second > 0
    assert known.sqlite.sample > known.sqlite.rollup_row > 0


def test_the_command(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["capacity", "--requests-per-day", "5e6"]) == 0
    said = capsys.readouterr().out
    assert "none is configured" in said
    assert "benchmarks/capacity.py" in said
    assert not list(tmp_path.iterdir())
    config = "judge: {base_url: 'http://127.0.0.1:1', model: M}\nsampling: {rate: 0.1}\n"
    (tmp_path / "tidegauge.yaml").write_text(config.replace("M", "gpt-4o-mini"))
    assert main(["capacity", "--requests-per-day", "1e6", "--json", "--tokens-in", "1000", "--tokens-out", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["judge"]["calls_per_day"] == 100_000
    assert found["judge"]["usd_per_day"] > 0
    (tmp_path / "tidegauge.yaml").write_text(config.replace("M", "nobody-knows"))
    assert main(["capacity", "--requests-per-day", "1e6"]) == 0
    assert "cost unknown: nobody has a price for nobody-knows;" in capsys.readouterr().out


def test_the_command_knows_juries(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegauge.yaml").write_text(
        "judges:\n  a: {base_url: 'http://127.0.0.1:1', model: cheap}\n"
        "  b: {base_url: 'http://127.0.0.1:1', model: dear}\n"
        "  jury: {panel: [a, b]}\nevaluation: {evaluators: [rules, overlap, jury]}\nsampling: {rate: 0.1}\n"
        "prices: [{model: cheap, input_per_million: 1, output_per_million: 0}, "
        "{model: dear, input_per_million: 3, output_per_million: 0}]\n"
    )
    assert main(["capacity", "--requests-per-day", "1e6", "--json", "--tokens-in", "1000", "--tokens-out", "0"]) == 0
    found = json.loads(capsys.readouterr().out)["judge"]
    assert (found["calls_per_day"], found["models"]) == (200_000, ["cheap", "dear"])
    assert found["usd_per_day"] == pytest.approx(100_000 * 1_000 * (1 + 3) / 1e6)


@pytest.mark.parametrize("flags", [["--rate", "2"], ["--peak", "0"], ["--segments", "-1"]])
def test_what_cannot_be_is_a_bad_usage(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--requests-per-day", "1e6", *flags]) == 2
    assert flags[0] in capsys.readouterr().err
