"""Every request of a connection counts, in all its windows at once, in whichever thread and process it is made."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from delivery_house import ON_BOTH, House, Lane, invoice, now_due, receive, row, state
from gate_process import KEY, hear, processes, tell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from portal_in_memory import PORTALS

from hub.contract.errors import Scope, Transient
from hub.contract.status import Delivered
from hub.delivery import gate as gate_module
from hub.delivery import passes as passes_module
from hub.delivery.gate import Gate
from hub.delivery.passes import SLACK, Passes
from hub.store import tables as t
from hub.store.database import Database

FOREVER = 1e9
DAY = 86_400.0
KEEP = {3600.0: 100_000}  # a limit that is never reached, so that the log forgets nothing within the hour
Url = str
Opened = Callable[[Url], Passes]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """The log, opened as by another process; closed at the end."""
    made: list[tuple[Database, Passes]] = []

    def open_(url: Url) -> Passes:
        db = Database(url)
        made.append((db, Passes(db)))
        return made[-1][1]

    yield open_
    for db, passes in made:
        passes.close()
        db.close()


@pytest.fixture
def alone(tmp_path: Path, opened: Opened) -> Passes:
    """The log beside a SQLite database."""
    return opened(f"sqlite:///{tmp_path / 'hub.db'}")


def logged(url: Url, column: sa.Column[float] | sa.Column[int]) -> list[float]:
    """What the log holds."""
    log = sa.create_engine(f"{url}.gate" if url.startswith("sqlite") else url)
    with log.connect() as tx:
        found = list(tx.scalars(sa.select(column)))
    log.dispose()
    return found


def recorded(url: Url) -> list[float]:
    """When each request passed, as the log has it."""
    return logged(url, t.gate_pass.c.at)


def most_in_any_window(passed: list[float], seconds: float) -> int:
    """The most that passed in any window of so many seconds, whenever it begins."""
    at = sorted(passed)
    return max(bisect_left(at, begin + seconds) - number for number, begin in enumerate(at))


class Clock:
    """Of a machine: a wall clock that can be set, and a counter that counts from its start."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.time, self.up, self.boot = 1_900_000_000.0, 50.0, "first start"
        patch.setattr(passes_module, "wall", lambda: self.time)
        patch.setattr(passes_module, "counter", lambda: self.up)
        patch.setattr(passes_module, "boot", lambda: self.boot)

    def forward(self, seconds: float) -> None:
        self.time += seconds
        self.up += seconds

    def start_again(self, *, after: float) -> None:
        """The machine was off for a while."""
        self.time, self.up, self.boot = self.time + after, 5.0, f"{self.boot} and again"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# --- the limit holds -------------------------------------------------------------------------------------------------


def test_two_processes_never_pass_more_than_the_limit_in_any_window(url: Url) -> None:
    """Three threads in each of two processes, two windows: by the recorded times of both, against every window."""
    limits = {0.5: 10, 1.5: 20}
    with processes(url, "pass", limits | KEEP, number=2) as both:
        for process in both:
            tell(process, "2.5")
        passes = [int(hear(process)) for process in both]
    passed = recorded(url)
    assert sum(passes) == len(passed)
    assert min(passes) > 0
    assert [] == [window for window, limit in limits.items() if most_in_any_window(passed, window) > limit]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limits=st.dictionaries(st.sampled_from((1.0, 5.0, 60.0)), st.integers(1, 6), min_size=1),
    gaps=st.lists(st.floats(0, 20), min_size=1, max_size=30),
    number=st.integers(0, 10**9),
)
def test_whatever_the_limits_and_the_pauses_no_window_holds_too_many(
    alone: Passes, clock: Clock, limits: dict[float, int], gaps: list[float], number: int
) -> None:
    """Every window, wherever it begins, and no request waits longer than the longest window."""
    passed = []
    for gap in gaps:
        clock.forward(gap)
        before = clock.up
        while (wait := alone.ask(f"{number} {limits} {gaps}", limits)) > 0:
            clock.forward(wait)
        passed.append(clock.up)
        assert clock.up - before <= max(limits) + 2 * SLACK
    for seconds, limit in limits.items():
        assert most_in_any_window(passed, seconds) <= limit


def test_the_log_keeps_no_more_than_the_limits_ask_for(url: Url, opened: Opened) -> None:
    """A busy connection's log does not grow."""
    passes = opened(url)
    for _ in range(30):
        while (wait := passes.ask(KEY, {0.02: 3})) > 0:
            time.sleep(wait)
    assert 3 <= len(recorded(url)) <= 4


def test_connections_do_not_count_for_each_other(url: Url, opened: Opened) -> None:
    """Each has its own limits at its own portal."""
    passes = opened(url)
    assert (0, 0) == (passes.ask("north", {60.0: 1}), passes.ask("south", {60.0: 1}))
    assert passes.ask("north", {60.0: 1}) > 59


def test_a_connection_without_limits_costs_nothing(tmp_path: Path, opened: Opened) -> None:
    """Nothing is counted, nothing is opened, and not even a stop is waited for."""
    passes = opened(f"sqlite:///{tmp_path / 'hub.db'}")
    gate = Gate(KEY, {}, passes)
    for _ in range(1000):
        gate.wait("find", left=lambda: 0.0)
    assert [] == list(tmp_path.iterdir())


# --- the clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_setting_the_clock_moves_nothing(
    alone: Passes, clock: Clock, opened: Opened, tmp_path: Path, step: float
) -> None:
    """Neither for a process that runs nor for one that starts afterwards."""
    assert 0 == alone.ask(KEY, {60.0: 1})
    clock.forward(20)
    clock.time += step
    later = opened(f"sqlite:///{tmp_path / 'hub.db'}")
    assert [40 + SLACK] * 2 == [pytest.approx(passes.ask(KEY, {60.0: 1})) for passes in (alone, later)]
    clock.forward(40 + 2 * SLACK)
    assert 0 == later.ask(KEY, {60.0: 1})


def test_a_machine_that_starts_again_still_knows_the_day(clock: Clock, opened: Opened, tmp_path: Path) -> None:
    """What went before counts, and so does the time for which the machine was off."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    assert 0 == opened(url).ask(KEY, {DAY: 1})
    clock.start_again(after=3600)
    assert DAY - 3600 + SLACK == pytest.approx(opened(url).ask(KEY, {DAY: 1}))
    clock.start_again(after=DAY)
    assert 0 == opened(url).ask(KEY, {DAY: 1})


def test_a_clock_that_went_back_makes_nobody_wait_longer_than_a_window(alone: Passes, clock: Clock) -> None:
    """Where there is only the wall clock: what went later than now went now, so that no window holds too many."""
    clock.boot = None  # type: ignore[assignment]
    assert 0 == alone.ask(KEY, {60.0: 1})
    clock.time -= 7200
    assert 60 + SLACK == pytest.approx(alone.ask(KEY, {60.0: 1}))
    clock.forward(59)
    assert alone.ask(KEY, {60.0: 1}) > 0
    clock.forward(1.1)
    assert 0 == alone.ask(KEY, {60.0: 1})


def test_a_database_whose_clock_went_back_makes_nobody_wait_longer_than_a_window(
    postgresql: Url, opened: Opened
) -> None:
    """The same on PostgreSQL, by the server's clock."""
    passes, db = opened(postgresql), Database(postgresql)
    assert 0 == passes.ask(KEY, {60.0: 1})
    with db.writing("test") as tx:
        tx.execute(t.gate_pass.update().values(at=t.gate_pass.c.at + 7200))
    db.close()
    assert 59 < passes.ask(KEY, {60.0: 1}) <= 60 + SLACK


# --- who goes first --------------------------------------------------------------------------------------------------


def pass_by(url: Url, seconds: float) -> None:
    """Let so many seconds pass, as far as the log knows."""
    log = sa.create_engine(f"{url}.gate" if url.startswith("sqlite") else url)
    with log.begin() as tx:
        tx.execute(t.gate_pass.update().values(at=t.gate_pass.c.at - seconds))
        tx.execute(t.gate.update().values(wanted_until=t.gate.c.wanted_until - seconds))
    log.dispose()


def test_a_poll_lets_those_go_first_that_wait_in_another_process(
    url: Url, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to ask again only after them; and only for so long as it yields at all."""
    monkeypatch.setattr(passes_module, "_WANTED", 300.0)
    here, there, limits = opened(url), opened(url), {60.0: 1}
    assert 0 == here.ask(KEY, limits)
    turn = there.ask(KEY, limits)
    assert here.ask(KEY, limits, yields=1000) > turn + 200
    pass_by(url, turn)
    assert 0.2 == pytest.approx(here.ask(KEY, limits, yields=0.2))
    assert 0 == there.ask(KEY, limits)
    pass_by(url, 61)
    assert 0 == here.ask(KEY, limits, yields=0)


def test_one_that_waited_and_was_killed_delays_polls_only_until_its_turn(url: Url, opened: Opened) -> None:
    """Nobody has to clean up after it, and it took no request's place."""
    limits = {1.5: 1}
    with processes(url, "wait", limits) as (process,):
        assert "passed" == hear(process)
        while logged(url, t.gate.c.wanted_until) == [0]:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
    passes = opened(url)
    Gate(KEY, limits, passes).wait("statuses", left=lambda: 10)
    assert [2] == logged(url, t.gate.c.seq)


def test_in_one_process_submits_go_before_a_poll_that_came_first(alone: Passes) -> None:
    """And among themselves in the order in which they came."""
    gate = Gate(KEY, {0.7: 1}, alone)
    gate.wait("find", left=lambda: FOREVER)
    order: list[str] = []

    def go(verb: str) -> None:
        gate.wait(verb, left=lambda: FOREVER)
        order.append(verb)

    threads = []
    for verb in ("statuses", "submit", "token", "a verb of its own"):
        threads.append(threading.Thread(target=go, args=(verb,)))
        threads[-1].start()
        time.sleep(0.01)
    for thread in threads:
        thread.join(20)
    assert ["submit", "token", "a verb of its own", "statuses"] == order


def test_an_endless_stream_of_submits_shuts_no_poll_out(
    url: Url, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It yields for a while, and then has its turn like any other, here and in the other process."""
    monkeypatch.setattr(gate_module, "POLL_YIELDS", 0.4)
    limits = {0.05: 1}
    gate = Gate(KEY, limits, opened(url))
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            gate.wait("submit", left=lambda: FOREVER)

    workers = [threading.Thread(target=send) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(2):
            gate.wait("statuses", left=lambda: 20)
            Gate(KEY, limits, opened(url)).wait("statuses", left=lambda: 20)
    finally:
        over.set()
        for worker in workers:
            worker.join()


# --- where a request cannot go ---------------------------------------------------------------------------------------


def test_a_request_that_would_wait_past_its_deadline_is_given_back_at_once(url: Url, opened: Opened) -> None:
    """Nothing was sent, it says from when on it may go, and it took no place of another's."""
    gate = Gate(KEY, {60.0: 1}, opened(url))
    gate.wait("submit", left=lambda: 5.0)
    for verb in ("submit", "statuses"):
        with pytest.raises(Transient, match=rf"\({verb}\) go in 6\d s") as caught:
            gate.wait(verb, left=lambda: 5.0)
        assert Delivered.NO is caught.value.delivered
        assert caught.value.retry_after is not None
        assert 59 < caught.value.retry_after.total_seconds() < 62
    assert [1] == logged(url, t.gate.c.seq)


def test_who_stands_in_line_is_given_back_as_soon_as_the_first_will_not_go_in_time(alone: Passes) -> None:
    """The last in line knows what the first was told."""
    gate = Gate(KEY, {60.0: 1}, alone)
    gate.wait("submit", left=lambda: 5.0)
    cancel = gate._cancel
    first = threading.Thread(target=lambda: _stopped(gate))
    first.start()
    while not gate._opens:
        time.sleep(0.01)
    with pytest.raises(Transient, match="go in") as caught:
        gate.wait("submit", left=lambda: 5.0)
    assert Delivered.NO is caught.value.delivered
    cancel.set()
    first.join(5)
    assert not first.is_alive()


def _stopped(gate: Gate) -> None:
    with pytest.raises(Transient, match="the hub is stopping"):
        gate.wait("submit", left=lambda: FOREVER)


def test_a_stop_ends_the_waiting_of_all_in_line(alone: Passes) -> None:
    """Whoever waits goes away unsent, and it is nobody's failure: no breaker counts it."""
    cancel = threading.Event()
    gate = Gate(KEY, {60.0: 1}, alone, cancel)
    gate.wait("find", left=lambda: 100)
    errors: list[Transient] = []

    def wait() -> None:
        try:
            gate.wait("find", left=lambda: 100)
        except Transient as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    cancel.set()
    for thread in threads:
        thread.join(5)
    assert [(Delivered.NO, Scope.INVOICE)] * 3 == [(error.delivered, error.scope) for error in errors]
    assert {"not asked (find): the hub is stopping"} == {str(error) for error in errors}


def test_what_cannot_be_counted_is_not_sent(tmp_path: Path, opened: Opened) -> None:
    """A log that is damaged lets nothing through, and says where it is."""
    (tmp_path / "hub.db.gate").write_bytes(b"this is no database, and long enough to be looked at as one" * 20)
    gate = Gate(KEY, {60.0: 1}, opened(f"sqlite:///{tmp_path / 'hub.db'}"))
    with pytest.raises(Transient, match=r"could not be counted .*hub\.db\.gate.*not a database") as caught:
        gate.wait("submit", left=lambda: 5.0)
    assert Delivered.NO is caught.value.delivered


@ON_BOTH
def test_an_invoice_for_which_the_day_s_limit_leaves_no_request_waits_until_there_is_one(house: House) -> None:
    """hub.yaml's limits are the gate's; what they held back stays ready, and is not tried in vain before its time."""
    house.write(Lane("acme"))
    told = json.loads((house.folder / "hub.yaml").read_text())
    told["connections"]["acme"]["limits"] = {"per_second": 50, "per_day": 1}
    (house.folder / "hub.yaml").write_text(json.dumps(told))
    ws = house.open()
    gate = ws.portal("acme").gate
    PORTALS["acme"].finds.extend([lambda: gate.wait("find", left=lambda: 60.0)] * 2)
    first, second = receive(ws, invoice("A-1")), receive(ws, invoice("A-2"))
    now_due(ws)
    assert ["sent", "ready"] == [state(ws, first), state(ws, second)]
    assert "go in 864" in row(ws, second).reason_text
    assert row(ws, second).due_at > house.clock() + dt.timedelta(hours=23)
    assert not now_due(ws)
    assert 1 == len(PORTALS["acme"].sent)
