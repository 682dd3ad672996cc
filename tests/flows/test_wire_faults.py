"""What breaks between us and the portal: nothing is lost, nothing is sent twice, and it is told what is not known."""

from __future__ import annotations

import datetime as dt
import os
import re
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from workbench import Bench, elbow, make_bench, network, service, until

from hub.contract.status import Submission, WhoseMove
from hub.delivery import reconcile
from hub.engine import local
from hub.simulators.client import Simulator
from hub.store import tables as t
from hub.store.blobs import Blobs
from hub.view import Outcome

S = Submission


def _attempts(bench: Bench, number: str) -> list[tuple[str | None, str]]:
    """Each attempt's delivered, and the hash of what was sent."""
    with bench.open() as ws, ws.db.reading() as tx:
        query = (
            sa.select(t.attempt.c.delivered, t.attempt.c.body_sha256)
            .join(t.submission, t.attempt.c.submission_id == t.submission.c.id)
            .join(t.document, t.submission.c.document_id == t.document.c.id)
            .where(t.document.c.number == number)
            .order_by(t.attempt.c.id)
        )
        return [(row.delivered, row.body_sha256) for row in tx.execute(query)]


# What was kept is found, not sent again. Every other fault: test_every_fault.py.
@pytest.mark.parametrize(("fault", "requests"), [("drop_after_commit", 1), ("html_page", 2)])
def test_an_unclear_answer_is_doubt_and_ends_with_exactly_one(bench: Bench, fault: str, requests: int) -> None:
    """Whatever breaks after the invoice left, the portal is asked first, and in the end has it once."""
    bench.network.fault(fault, verb="submit")
    bench.put("one.xml", service("SV-1"))
    bench.work()
    doubtful = bench.row("SV-1")
    assert (S.IN_DOUBT, Outcome.UNKNOWN, WhoseMove.NOBODY_UNTIL) == (
        doubtful.submission,
        doubtful.outcome,
        doubtful.whose_move,
    )
    assert "may have arrived" in bench.told("SV-1")
    assert 1 == len(bench.network.requests("submit")), "it was sent again before the portal was asked"
    bench.work(later=2)
    bench.work(later=10)
    assert S.SENT == bench.row("SV-1").submission
    assert 1 == len(bench.at_portal("SV-1"))
    assert requests == len(bench.network.requests("submit"))
    assert 1 == len({sha256 for _, sha256 in _attempts(bench, "SV-1")}), "a resend must be the same bytes"


def test_a_closed_port_leaves_it_ready(bench: Bench) -> None:
    """What certainly did not leave waits, backs off, says so, and goes once when the portal is back."""
    bench.network.fault("refuse", seconds=60)
    bench.put("one.xml", service("SV-1"))
    bench.work()
    waiting = bench.row("SV-1")
    assert (S.READY, Outcome.FAILED, WhoseMove.NOBODY_UNTIL) == (
        waiting.submission,
        waiting.outcome,
        waiting.whose_move,
    )
    assert "no connection" in (waiting.reason_text or "")
    bench.network.clear_faults()
    bench.work()
    assert [] == bench.network.requests("submit"), "it did not back off"
    bench.work(later=10)
    assert ("sent", 1, 1) == (
        bench.row("SV-1").submission,
        len(bench.at_portal("SV-1")),
        len(bench.network.requests("submit")),
    )


def test_without_lookup_a_lost_reply_ends_with_a_person_and_one_invoice(bench: Bench) -> None:
    """A portal that cannot be asked but refuses a second one is sent the same again; its refusal is for a person."""
    text = (bench.folder / "hub.yaml").read_text(encoding="utf-8")
    bench.change(text, re.sub(r"      rest:\n(        .*\n)+", "", text))
    bench.network.fault("drop_after_commit", verb="submit")
    bench.put("one.xml", service("SV-1"))
    for _ in range(5):
        bench.work(later=10)
    asked = bench.row("SV-1")
    assert (S.NEEDS_HUMAN, WhoseMove.US_OPS, Outcome.UNKNOWN) == (asked.submission, asked.whose_move, asked.outcome)
    assert 1 == len(bench.at_portal("SV-1"))
    assert 2 == len(bench.network.requests("submit"))


def test_doubt_stays_doubt_while_the_portal_cannot_be_asked(bench: Bench) -> None:
    """A look that fails proves nothing: nothing is sent again, however long it lasts."""
    bench.network.fault("drop_after_commit", verb="submit")
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.network.fault("html_page", verb="find", times=None)
    for _ in range(4):
        bench.work(later=3600)
        assert (S.IN_DOUBT, WhoseMove.NOBODY_UNTIL) == (bench.row("SV-1").submission, bench.row("SV-1").whose_move)
    assert "could not be asked" in bench.told("SV-1")
    bench.network.clear_faults()
    bench.work(later=3600)
    assert (S.SENT, 1) == (bench.row("SV-1").submission, len(bench.network.requests("submit")))


def test_a_portal_that_hangs_starves_no_other(bench: Bench) -> None:
    """While one connection waits for an answer that does not come, the other delivers."""
    bench.change("deployment_mode: test", "deployment_mode: test\n      timeout: 4s")
    bench.network.fault("hang_after_commit", verb="submit", number="EL-1", seconds=6)
    bench.put("us.xml", elbow("EL-1"))
    bench.put("de.xml", service("SV-1"))
    passing = threading.Thread(target=bench.work)
    passing.start()
    try:
        until(lambda: "SV-1" in (states := bench.states()) and states["SV-1"] == S.SENT, 3.5)
        assert S.SENDING == bench.row("EL-1").submission
    finally:
        passing.join(20)
    assert S.IN_DOUBT == bench.row("EL-1").submission
    bench.work(later=2)
    assert (S.SENT, 1) == (bench.row("EL-1").submission, len(bench.at_portal("EL-1")))


def test_a_wrong_secret_pauses_its_connection_alone(bench: Bench) -> None:
    """A login that the portal does not know stops that connection; nothing is lost, and the others go on."""
    (bench.folder / "secrets" / "shared-us").write_text("not-the-secret", encoding="utf-8")
    bench.put("us.xml", elbow("EL-1"))
    bench.put("us2.xml", elbow("EL-2"))
    bench.put("de.xml", service("SV-1"))
    bench.work()
    stopped = bench.row("EL-1")
    assert {"EL-1": "ready", "EL-2": "ready", "SV-1": "sent"} == bench.states()
    assert WhoseMove.US_OPS == stopped.whose_move
    assert "401" in (stopped.reason_text or "") + (bench.lane("ariba-us").paused_why or "")
    assert bench.lane("ariba-us").paused_at is not None
    assert bench.lane("ariba-de").paused_at is None
    tried = len(bench.network.requests("submit"))
    bench.work(later=3600)
    assert tried == len(bench.network.requests("submit")), "a paused connection sends nothing"


def test_a_token_that_ends_early_is_fetched_anew(tmp_path: Path) -> None:
    """A portal that no longer knows our token delays what goes out; it loses nothing."""
    with Simulator.start(network(token_seconds=120)) as sim:
        bench = make_bench(tmp_path / "workspace", sim)
        with bench.open() as ws:
            bench.put("one.xml", service("SV-1"))
            local.once(ws, quiet=0)
            sim.clock(300)  # the token that the hub holds has ended
            bench.put("two.xml", service("SV-2"))
            local.once(ws, quiet=0)
            assert {"SV-1": "sent", "SV-2": "ready"} == bench.states()
            bench.clock.ahead += dt.timedelta(seconds=20)
            local.once(ws, quiet=0)
        assert {"SV-1": "sent", "SV-2": "sent"} == bench.states()
        assert bench.lane("ariba-de").paused_at is None


def test_a_portal_that_wants_fewer_requests_is_left_alone_so_long(tmp_path: Path) -> None:
    """HTTP 429 with Retry-After: nothing more is asked until then, and then it goes."""
    with Simulator.start(network(rate_limit={"minute": 1})) as sim:
        bench = make_bench(tmp_path / "workspace", sim)
        sim.clock(60 - bench.clock().timestamp() % 60)  # its minute begins now
        bench.put("one.xml", service("SV-1"))
        bench.work()  # its search is the one request of this minute; the status poll is one too many
        bench.put("two.xml", service("SV-2"))
        bench.work()
        assert {"SV-1": "sent", "SV-2": "ready"} == bench.states()
        asked = len(sim.requests("find"))
        bench.work(later=20)
        assert asked == len(sim.requests("find")), "Retry-After was not kept"
        sim.clock(120)
        bench.work(later=60)
        assert {"SV-1": "sent", "SV-2": "sent"} == bench.states()
        assert 1 == len(bench.at_portal("SV-2"))


def test_a_search_that_lags_and_a_late_duplicate_leave_one_living(tmp_path: Path) -> None:
    """A portal that takes the second one and fails it later: the first is ours, the second is nobody's refusal."""
    with Simulator.start(network(duplicate_style="later"), settle=4) as sim:
        bench = make_bench(tmp_path / "workspace", sim)
        sim.fault("drop_after_commit", verb="submit", number="SV-1")
        bench.put("one.xml", service("SV-1"))
        bench.work()
        bench.work(later=2)  # the search does not show it yet, and settles_within says it would
        bench.work(later=10)
        assert ["Sent", "Failed"] == [document["status"] for document in bench.at_portal("SV-1")]
        sim.clock(10)
        for _ in range(4):
            bench.work(later=10)
        row = bench.row("SV-1")
        assert (S.SENT, None) == (row.submission, row.outcome), row.reason_text
        assert 2 == len(sim.requests("submit"))


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
def test_a_full_disk_does_nothing_by_halves(bench: Bench, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Wherever the archive cannot be written, the invoice waits or is asked about, and in the end is there once."""
    put, count = Blobs.put, iter(range(1, 1000))

    def full(self: Blobs, content: bytes) -> str:
        if next(count) == nth:
            raise OSError(28, os.strerror(28))
        return put(self, content)

    bench.put("one.xml", service("SV-1"))
    with bench.open() as ws:
        monkeypatch.setattr(Blobs, "put", full)
        local.once(ws, quiet=0)
        monkeypatch.setattr(Blobs, "put", put)
        assert next(count) > nth, "the disk was never full"
        if not bench.rows():
            assert ["one.xml"] == [path.name for path in bench.inbox.iterdir()]
        for _ in range(3):  # the same process goes on: also what its own failure left in `sending` is taken up
            bench.clock.ahead += dt.timedelta(minutes=5)
            reconcile.recover(ws, alone=False)
            local.once(ws, quiet=0)
    assert {"SV-1": "sent"} == bench.states()
    assert 1 == len(bench.at_portal("SV-1"))
    assert [] == list(bench.inbox.iterdir())
