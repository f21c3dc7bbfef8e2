"""Who may take work: one holder at a time while it lives and says so, and nothing stays out of reach."""

import pytest

from tests.support.ingest import Now, begin, ingest
from tests.support.logs import line
from tidegauge.domain import SECOND
from tidegauge.storage import ledger
from tidegauge.storage.ledger import LEASE, NEVER, SKEW, Claim, Generation, Identity, Owner
from tidegauge.storage.store import Store


@pytest.fixture
def clock() -> Now:
    return Now()


def planned(store: Store, clock: Now, blocks: int) -> None:
    generation = Generation("g", "s", "p", "plain", "", Identity(), 0, 0, "live")
    begin(store)
    with store.write() as tx:
        ledger.insert_generation(tx, generation, clock.now())
        ledger.plan_ranges(tx, "g", 0, range(1, blocks + 1), Identity(planned_to=blocks), clock.now())


def claim(store: Store, clock: Now, owner: str, most: int, until: int = NEVER, sweep: str = "s") -> list[int]:
    """Starts of the blocks that the owner gets while "one" and "two" live."""
    with store.write() as tx:
        held = Claim(owner, sweep, ["one", "two"], clock.now(), until)
        return [taken.block.start for taken in ledger.claim_blocks(tx, held, clock.now(), most)]


def test_a_lease_that_is_over_gives_the_block_to_others_though_the_owner_lives(store: Store, clock: Now) -> None:
    planned(store, clock, 2)
    assert claim(store, clock, "one", 1, clock.now() + LEASE) == [0]
    assert claim(store, clock, "one", 1) == [1]
    assert claim(store, clock, "two", 9) == []
    clock.time += LEASE
    assert claim(store, clock, "two", 9, clock.now() + LEASE) == [0]


def test_a_clock_set_back_does_not_lock_work_up(store: Store, clock: Now) -> None:
    clock.time += 50 * LEASE
    planned(store, clock, 1)
    assert claim(store, clock, "one", 1, clock.now() + LEASE) == [0]
    clock.time -= 50 * LEASE
    with store.write() as tx:
        held = Claim("two", "t", ["one", "two"], clock.now(), clock.now() + LEASE)
        assert len(ledger.claim_blocks(tx, held, NEVER, 9)) == 1


def test_a_heartbeat_of_the_future_is_no_sign_of_life(store: Store, clock: Now) -> None:
    with store.write() as tx:
        ledger.beat(tx, Owner("near", "elsewhere", 1, 0.0), clock.now() + SKEW)
        ledger.beat(tx, Owner("far", "elsewhere", 1, 0.0), clock.now() + SKEW + 1)
        assert ledger.live_owners(tx, clock.now()) == ["near"]


def test_the_reader_takes_a_block_from_its_planner_and_nobody_takes_it_from_the_reader(
    store: Store, clock: Now
) -> None:
    planned(store, clock, 1)
    until = clock.now() + LEASE
    with store.write() as tx:
        block = ledger.claim_blocks(tx, Claim("one", "s", ["one", "two"], clock.now(), until), NEVER, 1)[0].block
        two = Claim("two", "s", ["one", "two", "three"], clock.now(), until)
        assert ledger.take_block(tx, two, block, "one")
        assert ledger.take_block(tx, two, block, "one"), "a reader may see a block twice"
        three = Claim("three", "s", ["one", "two", "three"], clock.now(), until)
        assert not ledger.take_block(tx, three, block, "one")
        assert ledger.take_block(tx, Claim("three", "s", ["three"], clock.now(), until), block, "one"), "two is dead"


def test_work_in_hand_is_counted_while_it_is_held(store: Store, clock: Now) -> None:
    planned(store, clock, 3)
    claim(store, clock, "one", 2, clock.now() + LEASE)
    with store.read() as tx:
        assert ledger.in_work(tx, ["one"], clock.now()) == (2, 0)
        assert ledger.in_work(tx, ["two"], clock.now()) == (0, 0)
        assert ledger.in_work(tx, ["one"], clock.now() + LEASE) == (0, 0)


def tried(store: Store, clock: Now, owner: str, most: int) -> list[int]:
    """Starts of the blocks that a new look gets and cannot read."""
    sweep = f"at {clock.now()}"
    with store.write() as tx:
        hold = Claim(owner, sweep, ["one", "two"], clock.now(), clock.now() + LEASE)
        taken = ledger.claim_blocks(tx, hold, NEVER, most)
        for one in taken:
            ledger.release_block(tx, one.block, hold, "the broker is down")
    clock.time += SECOND
    return sorted(one.block.start for one in taken)


def test_blocks_that_cannot_be_read_keep_nobody_from_those_planned_later(store: Store, clock: Now) -> None:
    planned(store, clock, 5)
    assert tried(store, clock, "one", 3) == [0, 1, 2]
    assert tried(store, clock, "one", 3) == [0, 3, 4]
    assert tried(store, clock, "one", 3) == [0, 1, 2], "nothing else is there, and each has its turn"
    with store.write() as tx:
        ledger.plan_ranges(tx, "g", 5, [6, 7], Identity(planned_to=7), clock.now())
    assert tried(store, clock, "one", 2) == [5, 6]


def test_a_block_that_could_not_be_read_has_its_turn_again_however_much_is_planned(store: Store, clock: Now) -> None:
    planned(store, clock, 1)
    assert tried(store, clock, "one", 1) == [0]
    clock.time += ledger.BEHIND
    with store.write() as tx:
        ledger.plan_ranges(tx, "g", 1, range(2, 9), Identity(planned_to=8), clock.now())
    assert tried(store, clock, "one", 2) == [0, 1]


class Samples:
    """Samples with times 0, 1, 2 … minutes, free to be taken."""

    def __init__(self, store: Store, clock: Now, folder: str) -> None:
        self.store, self.clock = store, clock
        path = f"{folder}/log.jsonl"
        times = ["12:02", "12:00", "12:01"]
        rows = [line(request_id=f"r-{at[-1]}", timestamp=f"2026-11-01T{at}:00Z") for at in times]
        with open(path, "wb") as log:
            log.write(b"\n".join(rows) + b"\n")
        assert not list(ingest(store, path, clock))
        with store.write() as tx:
            ledger.leave(tx, Owner("me", "", 0, 0.0))

    def claim(self, owner: str, sweep: str, most: int = 9, until: int = NEVER, newest_first: bool = False) -> list[str]:
        with self.store.write() as tx:
            held = Claim(owner, sweep, ["one", "two"], self.clock.now(), until)
            found = ledger.claim_samples(tx, held, most, newest_first=newest_first)
        return [sample.request.request_id for sample in found]


@pytest.fixture
def samples(store: Store, clock: Now, tmp_path: object) -> Samples:
    return Samples(store, clock, str(tmp_path))


@pytest.mark.parametrize(("newest_first", "first"), [(False, "r-0"), (True, "r-2")])
def test_pending_samples_come_in_the_order_that_is_wanted(samples: Samples, newest_first: bool, first: str) -> None:
    assert samples.claim("one", "s", 1, newest_first=newest_first) == [first]


def test_a_clock_set_back_keeps_no_job_from_pending_samples(samples: Samples, clock: Now) -> None:
    """Their block was planned in what is the future now; those of one planned just now are not the job's."""
    for back, free in ((SECOND, 0), (50 * LEASE, 3)):
        clock.time -= back
        with samples.store.write() as tx:
            by = ledger.planned_until(tx, clock.now())
            assert ledger.count_free_samples(tx, "s", [], clock.now(), 9, planned_by=by) == free
            for most in (1, 2):
                claim = Claim("one", "s", ["one"], clock.now())
                taken = ledger.claim_samples(tx, claim, most, planned_by=by, newest_first=most == 1)
                assert len(taken) == min(most, free)


def test_samples_said_to_be_held_stay_with_their_holder(samples: Samples, clock: Now) -> None:
    assert len(samples.claim("one", "s", until=clock.now() + LEASE)) == 3
    clock.time += LEASE - 1
    with samples.store.write() as tx:
        ledger.keep_samples(tx, "one", ["r-0", "r-1"], clock.now() + LEASE)
        ledger.keep_samples(tx, "two", ["r-2"], clock.now() + LEASE)
    clock.time += 1
    assert samples.claim("two", "t") == ["r-2"]
    clock.time += LEASE
    assert samples.claim("two", "u") == ["r-0", "r-1"]


def test_a_sample_that_could_not_be_judged_waits_longer_each_time(samples: Samples, clock: Now) -> None:
    assert "r-0" in samples.claim("one", "first")
    waits = []
    for _ in range(31):
        with samples.store.write() as tx:
            tx.run("release_samples_of", request_id="r-0", reason="judge down", now=clock.now())
        begun = clock.now()
        while "r-0" not in samples.claim("one", f"at {clock.now()}"):
            clock.time += 1_000_000
        waits.append((clock.now() - begun) // 1_000_000)
    assert waits[:3] == [2, 4, 6]
    assert waits[-1] == 60


def test_nobody_alive_is_a_list_of_names_too(store: Store) -> None:
    with store.write() as tx:
        assert ledger.in_work(tx, [], Now().now()) == (0, 0)
