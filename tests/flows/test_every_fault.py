"""Everything that can go wrong, in one day of one workspace: the whole hub, TLS all the way, a portal that breaks."""

from __future__ import annotations

import copy
import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from faults import FAULTS, OF_SUBMIT, UNRESOLVED, Line, befall
from workbench import ROOT, Bench, command, elbow, make_bench, network, service, until

from hub.contract.status import Stage, Submission
from hub.engine import local
from hub.simulators.client import Simulator
from hub.store import tables as t
from hub.view import Filters, invoices

S = Submission
LOOPBACK = ROOT / "tests" / "connectors"
PAIR = (LOOPBACK / "loopback.pem", LOOPBACK / "loopback.pem")
LASTS = 0.3  # seconds, of what lasts
LAGGING, NEVER_SHOWN = "SV-search_lag", "SV-search_never"
SETTLED = (S.SENT, S.ACCEPTED, S.NEEDS_HUMAN)

# The rest is no single invoice's: a port that is shut, a name, a clock; and a login that is refused stops the lane.
OF_ONE = [
    fault for fault in OF_SUBMIT if fault.by in ("control", "line") and fault.name not in ("refuse", "401_in_body")
]


def portal(*, unique: bool) -> dict[str, Any]:
    """The demo's network, where buyers refuse a number that they have, or do not."""
    config = copy.deepcopy(network())
    for buyer in config["buyers"]:
        buyer["enforce_unique_numbers"] = unique
    return config


class Day:
    """A bench, its network and the line between them, through a day of the hub's clock."""

    def __init__(self, bench: Bench, line: Line) -> None:
        self.bench = bench
        self.line = line
        self.sim = bench.network
        self._seen = 0  # submits at the end of the last pass

    def befall(self, name: str, number: str | None = None, **how: Any) -> None:
        fault = FAULTS[name]
        befall(fault, sim=self.sim, line=self.line, number=number, **{"seconds": fault.seconds and LASTS} | how)

    def work(self, *, later: float = 0.0) -> None:
        """One pass, with the hub's clock moved on before."""
        self.bench.work(later=later)

    def tasks(self) -> list[str]:
        """The numbers that wait for a person."""
        query = (
            sa.select(t.document.c.number)
            .join(t.submission, t.submission.c.document_id == t.document.c.id)
            .join(t.task, t.task.c.submission_id == t.submission.c.id)
            .where(t.task.c.answered_at.is_(None))
        )
        with self.bench.open() as ws, ws.db.reading() as tx:
            return list(tx.execute(query).scalars())

    def settle(self) -> dict[str, str]:
        """Work until nothing moves by itself; how everything stands then."""
        with self.bench.open() as ws:
            for _ in range(80):
                self.bench.clock.ahead += dt.timedelta(seconds=1900)  # longer than a breaker holds
                local.once(ws, quiet=0)
                self._let_come_what_is_late()
                rows = invoices(ws.db, Filters(), now=ws.now(), limit=100).rows
                if all(row.submission in SETTLED for row in rows):
                    return {row.number: row.submission for row in rows}
        return pytest.fail(f"it never came to an end: {rows}")

    def _let_come_what_is_late(self) -> None:
        """The portal is late by less than the hub's patience, whose clock goes faster here."""
        asked = self.sim.requests("submit")
        until(lambda: not [each for each in self.sim.requests("submit") if _still_to_come(each)])
        if any(each["number"] == LAGGING for each in asked[self._seen :]):
            time.sleep(LASTS)
        self._seen = len(asked)


def _still_to_come(entry: dict[str, Any]) -> bool:
    return entry["fault"] == "late_commit" and entry["outcome"] == "nothing done"


@pytest.fixture(params=[(True, "clock_ahead"), (False, "clock_behind")], ids=["unique", "not unique"])
def day(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Day]:
    """A workspace and its network, with TLS and a line between that can be broken."""
    unique, skew = request.param
    with Simulator.start(portal(unique=unique), tls=PAIR) as sim, Line.before(sim, PAIR) as line:
        bench = make_bench(tmp_path / "workspace", sim, settles="30s")
        bench.change(sim.url, line.url)
        trust = f"deployment_mode: test\n      ca_bundle: {LOOPBACK / 'loopback-ca.pem'}\n      timeout: 2s"
        bench.change("deployment_mode: test", trust)
        befall(FAULTS[skew], sim=sim)
        yield Day(bench, line)


def test_every_fault_ends_in_one_invoice_or_one_task(day: Day) -> None:
    """An invoice for each fault, sent side by side, the portal refusing a repeated number or not.

    Each is there once and called sent; only the one that the portal has and never shows is for a person.
    """
    bench, numbers = day.bench, {fault.name: f"SV-{fault.name}" for fault in OF_ONE}
    for name, number in numbers.items():
        day.befall(name, number)
    for search, number in (("search_lag", LAGGING), ("search_never", NEVER_SHOWN)):
        numbers[search] = number
        day.befall("drop_after_commit", number)
        day.befall(search, number)
    for number in numbers.values():
        bench.put(f"{number}.xml", service(number))
    states = day.settle()
    assert {NEVER_SHOWN} == {number for number, state in states.items() if state == S.NEEDS_HUMAN}
    assert [NEVER_SHOWN] == day.tasks()
    assert sorted(numbers.values()) == sorted(document["number"] for document in day.sim.documents())
    submits = Counter(entry["number"] for entry in day.sim.requests("submit"))
    kept = {numbers[fault.name]: 1 for fault in OF_ONE if fault.committed}
    assert kept == {number: submits[number] for number in kept}, "what the portal had was sent again"
    met = {entry["fault"] for entry in day.sim.requests("submit")} - {None}
    assert {fault.name for fault in OF_ONE if fault.by == "control"} == met
    assert [] == day.line.armed


@pytest.mark.parametrize("day", [(True, "clock_ahead")], ids=["ahead"], indirect=True)
def test_what_stops_a_whole_connection_loses_nothing(day: Day) -> None:
    """A port that is shut, a name that nobody knows, a login that is refused: all wait, and go once, when it ends."""
    bench = day.bench
    day.befall("refuse")
    bench.put("one.xml", service("SV-1"))
    day.work()
    day.line.clear()
    here, nowhere = f"url: {day.line.url}/service", f"url: https://{UNRESOLVED}/service"
    bench.change(here, nowhere)
    bench.put("two.xml", service("SV-2"))
    day.work(later=1900)
    assert ({"SV-1": S.READY, "SV-2": S.READY}, []) == (bench.states(), day.sim.documents())
    bench.change(nowhere, here)
    day.befall("401_in_body", "EL-1")
    bench.put("three.xml", elbow("EL-1"))
    day.work(later=1900)
    assert {"SV-1": S.SENT, "SV-2": S.SENT, "EL-1": S.READY} == bench.states()
    assert 0 == command("-w", bench.folder, "check", "ariba-us").exit_code
    assert {S.SENT} == {*day.settle().values()}
    assert ["EL-1", "SV-1", "SV-2"] == sorted(document["number"] for document in day.sim.documents())


@pytest.mark.parametrize("day", [(True, "clock_behind")], ids=["behind"], indirect=True)
def test_a_feed_that_cannot_be_read_or_lies_moves_nothing_wrongly(day: Day) -> None:
    """Whatever befalls the polls, the last true word of each invoice is what is shown in the end."""
    bench = day.bench
    numbers = [f"SV-{how}" for how in ("twice", "stale", "strange", "plain")]
    for number in numbers:
        bench.put(f"{number}.xml", service(number))
    day.work()
    for number in numbers:
        day.sim.advance(number)
    day.work(later=600)
    assert {S.ACCEPTED} == {*bench.states().values()}
    for number in numbers:
        day.sim.advance(number)
    day.befall("unknown_word", "SV-strange")
    for name in ("html_page", "tls_broken", "401", "login_redirect"):  # the others: the connector's conformance
        day.befall(name, verb="statuses", times=None)
        day.work(later=3600)
        shown = {(row.submission, row.stage) for row in bench.rows().values()}
        assert {(S.ACCEPTED, None)} == shown, name
        day.sim.clear_faults()
        day.line.clear()
    assert "HTTP 302" in bench.lane("ariba-de").paused_why, "an address that leads elsewhere is for people to look at"
    assert 0 == command("-w", bench.folder, "check", "ariba-de").exit_code
    day.befall("token_expired")
    day.befall("duplicate_events", "SV-twice")
    day.befall("events_out_of_order", "SV-stale")
    for _ in range(3):
        day.work(later=3600)
    stages = {number: row.stage for number, row in bench.rows().items()}
    assert dict.fromkeys(numbers, Stage.APPROVED) | {"SV-strange": None} == stages, (
        "a word that nobody knows moves nothing"
    )
    assert {S.ACCEPTED} == {*bench.states().values()}
    assert "Betwixt" == bench.row("SV-strange").portal_word
