"""The road back: what buyers and portals do, and what is not known, as people are told it."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from workbench import Bench, make_bench, service

from hub.contract.status import Stage, Submission, WhoseMove
from hub.store import tables as t
from hub.view import Outcome, summary

S = Submission


@pytest.fixture
def sent(bench: Bench) -> Bench:
    """SV-1 is at the portal, which has said nothing more of it."""
    bench.put("one.xml", service("SV-1"))
    bench.work()
    assert {"SV-1": "sent"} == bench.states()
    return bench


def test_the_buyer_s_way_is_followed_to_the_payment(sent: Bench) -> None:
    """Each step of the buyer arrives once, moves the stage, and is told with its time."""
    steps = []
    for _ in range(3):
        sent.network.advance("SV-1")
        sent.work()
        row = sent.row("SV-1")
        steps.append((row.submission, row.stage, row.whose_move, row.portal_word))
    assert [
        (S.ACCEPTED, None, WhoseMove.BUYER, "Acknowledged"),
        (S.ACCEPTED, Stage.APPROVED, WhoseMove.BUYER, "Approved"),
        (S.ACCEPTED, Stage.PAID, WhoseMove.NOBODY_UNTIL, "Paid"),
    ] == steps
    sent.work()
    sent.work()
    with sent.open() as ws, ws.db.reading() as tx:
        assert 3 == tx.execute(sa.select(sa.func.count()).select_from(t.event).where(t.event.c.raw != "Sent")).scalar()


def test_a_rejection_without_a_reason_says_just_that(sent: Bench) -> None:
    """The channel tells that it was rejected and not why; the reason that nobody heard is not invented."""
    sent.network.reject("SV-1", "The price of line 1 differs from the order")
    sent.work()
    row = sent.row("SV-1")
    assert (S.ACCEPTED, Stage.REJECTED, WhoseMove.US_DATA, Outcome.DISPUTED) == (
        row.submission,
        row.stage,
        row.whose_move,
        row.outcome,
    )
    assert "reason not given by this channel" in (row.reason_text or "")
    assert "price" not in sent.told("SV-1")


def test_a_refusal_that_comes_late_is_still_a_refusal(sent: Bench) -> None:
    """The network took it in and fails it afterwards: the buyer never had it, and it is ours to correct."""
    sent.network.advance("SV-1")
    sent.work()
    assert S.ACCEPTED == sent.row("SV-1").submission
    sent.network.fail("SV-1", "INV-98")
    sent.work()
    row = sent.row("SV-1")
    assert (S.REFUSED, WhoseMove.US_DATA, Outcome.REFUSED) == (row.submission, row.whose_move, row.outcome)
    assert "see the portal" in (row.reason_text or "")
    assert 1 == len(sent.network.requests("submit"))


def test_a_refused_invoice_goes_again_only_as_another_revision(sent: Bench) -> None:
    """The corrected file takes the refused one's place; both stay told."""
    sent.network.fail("SV-1", "INV-98")
    sent.work()
    sent.put("corrected.xml", service("SV-1", buyer_reference="Instandhaltung 0418"))
    sent.work()
    row = sent.row("SV-1")
    assert (2, 2) == (row.revision, len(sent.network.requests("submit")))
    assert "corrected.xml" in sent.told("SV-1")
    assert "one.xml" in sent.told("SV-1")


def test_an_unknown_word_moves_nothing_and_is_kept(sent: Bench) -> None:
    """A word that no table has is shown as the portal's own; state, stage and whose move it is stay."""
    before = sent.row("SV-1")
    sent.network.set_status("SV-1", "Ready for EDI-7 sweep")
    sent.work()
    after = sent.row("SV-1")
    assert (before.submission, before.stage, before.whose_move) == (after.submission, after.stage, after.whose_move)
    assert "Ready for EDI-7 sweep" == after.portal_word
    sent.network.set_status("SV-1", "Paid")
    sent.work()
    assert Stage.PAID == sent.row("SV-1").stage


def test_statuses_that_cannot_be_read_move_nothing(sent: Bench) -> None:
    """While the portal cannot be asked, what is shown stays and grows old; afterwards it is caught up."""
    sent.network.advance("SV-1")
    sent.work()
    before = sent.row("SV-1")
    sent.network.pay("SV-1")
    sent.network.fault("drop_before_commit", verb="statuses", times=None)
    sent.work(later=5 * 3600)
    silent = sent.row("SV-1")
    assert (before.submission, before.stage, before.as_of) == (silent.submission, silent.stage, silent.as_of)
    assert silent.stale
    assert sent.lane("ariba-de").poll_error is not None
    assert sent.lane("ariba-de").paused_at is None
    sent.network.clear_faults()
    sent.work()
    assert (Stage.PAID, False) == (sent.row("SV-1").stage, sent.row("SV-1").stale)
    assert sent.lane("ariba-de").poll_error is None


def test_a_client_that_may_not_ask_pauses_its_connection(bench: Bench) -> None:
    """Wrong REST credentials stop the connection before anything is sent, and the summary says why."""
    (bench.folder / "secrets" / "client-de").write_text("not-the-secret", encoding="utf-8")
    bench.put("one.xml", service("SV-1"))
    bench.work()
    assert ({"SV-1": "ready"}, []) == (bench.states(), bench.network.requests("submit"))
    with bench.open() as ws:
        paused = {lane.key: lane.paused_why for lane in summary(ws.db).connections if lane.paused_at}
    assert {"ariba-de"} == set(paused)
    assert "client_id and client_secret" in (paused["ariba-de"] or "")


@pytest.mark.parametrize("offset", [-600, 2])
def test_a_portal_with_another_clock_is_still_heard(bench: Bench, offset: float) -> None:
    """Minutes behind or seconds ahead: no word is lost, at most it comes later."""
    bench.network.clock(offset)
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.network.pay("SV-1")
    time.sleep(max(0.0, offset) + 0.1)
    bench.work()
    assert Stage.PAID == bench.row("SV-1").stage


@pytest.mark.parametrize("hours", [-11, 11])
def test_doubt_is_settled_in_whatever_zone_the_portal_thinks(bench: Bench, hours: int) -> None:
    """The search reaches a day to both sides, so that a portal's local time hides nothing."""
    bench.network.clock(hours * 3600)
    bench.network.fault("drop_after_commit", verb="submit")
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.work(later=2)
    assert ("sent", 1) == (bench.row("SV-1").submission, len(bench.network.requests("submit")))


def test_what_a_person_keyed_in_before_is_adopted(bench: Bench, tmp_path: Path) -> None:
    """The same invoice stands at the portal already: it is found before the first attempt and not sent."""
    first = make_bench(tmp_path / "elsewhere", bench.network)
    first.put("one.xml", service("SV-1"))
    first.work()
    bench.put("one.xml", service("SV-1"))
    bench.work()
    assert ("sent", 1) == (bench.row("SV-1").submission, len(bench.network.requests("submit")))
    assert "the portal has it" in bench.told("SV-1")


def test_another_total_under_our_number_is_for_a_person(bench: Bench, tmp_path: Path) -> None:
    """A document with our number and another total is not surely ours; nothing is sent beside it."""
    first = make_bench(tmp_path / "elsewhere", bench.network)
    first.put("one.xml", service("SV-1"))
    first.work()
    other = service("SV-1").replace(b"240.00", b"480.00").replace(b"45.60", b"91.20").replace(b"285.60", b"571.20")
    bench.put("one.xml", other)
    bench.work()
    row = bench.row("SV-1")
    assert (S.NEEDS_HUMAN, WhoseMove.US_OPS) == (row.submission, row.whose_move)
    assert 1 == len(bench.network.requests("submit"))


def test_an_invoice_that_nobody_acknowledges_becomes_a_task(bench: Bench) -> None:
    """No word within the time that the portal has is not taken for a verdict: a person is asked."""
    bench.network.fault("drop_before_commit", verb="statuses", times=None)
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.work(later=dt.timedelta(hours=25).total_seconds())
    row = bench.row("SV-1")
    assert (S.NEEDS_HUMAN, WhoseMove.US_OPS) == (row.submission, row.whose_move)
    assert 1 == len(bench.network.requests("submit"))
    bench.network.clear_faults()
    bench.network.advance("SV-1")
    bench.work()
    assert (S.ACCEPTED, WhoseMove.BUYER) == (bench.row("SV-1").submission, bench.row("SV-1").whose_move)
