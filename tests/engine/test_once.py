"""One pass: everything that is due, side by side, and nothing twice."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from scripted import (
    SCRIPTS,
    Script,
    Scripted,
    cascadia,
    credit,
    drop,
    invoice,
    oakhurst,
    other_content,
    rows,
    states,
    until,
)

from hub.contract.connector import Page, Receipt, Refs, StatusEvent, Step
from hub.contract.errors import AuthFailed, Transient
from hub.contract.status import Concerns, Delivered, Intake, Stage, Submission
from hub.delivery import check, collect, deliver, ledger, tasks
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.engine import lane as lanes
from hub.engine import local, work
from hub.store import tables as t
from hub.store.database import StoreError

Open = Callable[..., Workspace]
ACCEPTED, READY, HELD = Submission.ACCEPTED, Submission.READY, Submission.HELD


def once(ws: Workspace) -> dict[str, str]:
    local.once(ws, quiet=0)
    return states(ws)


# --- whole stories ---------------------------------------------------------------------------------------------------


def test_from_the_inbox_to_accepted_by_hand(opened: Open, tmp_path: Path) -> None:
    """Inbox, ready, task sheet, a person's answer, accepted under the portal's number, and the status typed in."""
    ws = opened(oakhurst="people")
    drop(tmp_path, *oakhurst("RV-26-3001"))
    assert {"RV-26-3001": Submission.NEEDS_HUMAN} == once(ws)
    with ws.db.reading() as tx:
        (task,) = tasks.open_tasks(tx)
    assert "Invoice number: RV-26-3001" in task.action.splitlines()
    assert task.title == "Key this invoice into The site and enter its confirmation"
    tasks.answer(ws, task.id, Spoken(Say.SENT, by="maria", reference=" CONF-4711 "))
    (submission,) = rows(ws, t.submission)
    assert (ACCEPTED, "CONF-4711", None) == (submission.state, submission.portal_id, submission.stage)
    seen = dt.datetime.now(dt.UTC)
    event = StatusEvent("typed-1", Refs(portal_id="CONF-4711"), Concerns.STAGE, Stage.APPROVED, "approved", seen)
    collect.say(ws, submission.id, event, by="maria")
    collect.say(ws, submission.id, event, by="maria")
    (submission,) = rows(ws, t.submission)
    assert (ACCEPTED, Stage.APPROVED) == (submission.state, submission.stage)
    assert 1 == len(rows(ws, t.event))
    assert {"RV-26-3001": ACCEPTED} == once(ws)
    assert [] == [one for one in rows(ws, t.task) if one.answered_at is None]
    assert ["RV-26-3001.xml"] == [path.name for path in (tmp_path / "done").iterdir()]


def test_a_task_that_was_refused_and_one_that_goes_again(opened: Open, tmp_path: Path) -> None:
    """The portal's words are the reason; `not there` makes the sheet anew."""
    ws = opened(oakhurst="people")
    drop(tmp_path, *oakhurst("A", "B"))
    once(ws)
    with ws.db.reading() as tx:
        by_number = {task.number: task.id for task in tasks.open_tasks(tx)}
    tasks.answer(ws, by_number["A"], Spoken(Say.REFUSED, by="maria", words="PO closed"))
    tasks.answer(ws, by_number["B"], Spoken(Say.NOT_THERE, by="maria"))
    assert {"A": Submission.REFUSED, "B": Submission.NEEDS_HUMAN} == once(ws)
    assert "PO closed" == next(row.reason_text for row in rows(ws, t.submission) if row.state == Submission.REFUSED)
    with ws.db.reading() as tx:
        assert ["B"] == [task.number for task in tasks.open_tasks(tx)]


def test_a_second_pass_does_nothing_new(opened: Open, tmp_path: Path) -> None:
    """What is accepted, held, refused or waits for a person stays as it is, to the row."""
    ws = opened(oakhurst="people")
    drop(tmp_path, *cascadia("A", "B"), *oakhurst("C"), invoice("D", order=""))
    (tmp_path / "inbox" / "bad.xml").write_text("<html></html>")
    assert {"A": ACCEPTED, "B": ACCEPTED, "C": Submission.NEEDS_HUMAN, "D": HELD} == once(ws)
    before = {table.name: rows(ws, table) for table in t.metadata.sorted_tables if "id" in table.c}
    once(ws)
    assert before == {table.name: rows(ws, table) for table in t.metadata.sorted_tables if "id" in table.c}
    assert ["A", "B"] == sorted(SCRIPTS["north"].arrived)


def test_a_credit_follows_its_invoice_in_the_same_pass(opened: Open, tmp_path: Path) -> None:
    """What was sent lets go what waited for it."""
    ws = opened()
    first = invoice("A")
    drop(tmp_path, credit("Z-credit", first), credit("A-credit", invoice("Z")), first)
    assert {"A": ACCEPTED, "Z-credit": ACCEPTED, "A-credit": ACCEPTED} == once(ws)
    assert SCRIPTS["north"].arrived.index("A") < SCRIPTS["north"].arrived.index("Z-credit")


def test_the_same_file_under_two_names_is_one_invoice(opened: Open, tmp_path: Path) -> None:
    """Both go to done, both are written down, one is sent."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    (tmp_path / "inbox" / "copy.xml").write_bytes((tmp_path / "inbox" / "A.xml").read_bytes())
    assert {"A": ACCEPTED} == once(ws)
    assert [["A"], ["received", "repeated"]] == [
        SCRIPTS["north"].arrived,
        [row.outcome for row in rows(ws, t.intake)],
    ]


def test_other_content_under_a_number_that_was_sent_is_refused_with_both_names(opened: Open, tmp_path: Path) -> None:
    """Nothing is sent, and the reason beside the file says what to do."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    once(ws)
    drop(tmp_path, other_content(invoice("A")))
    assert {"A": ACCEPTED} == once(ws)
    reason = (tmp_path / "refused" / "A.xml.reason.txt").read_text()
    assert ["A"] == SCRIPTS["north"].arrived
    assert all(word in reason for word in ("A.xml", "cascadia", "credit note"))
    assert ["received", "refused"] == [row.outcome for row in rows(ws, t.intake)]


# --- the order of a pass, its lanes ----------------------------------------------------------------------------------


def test_a_portal_that_hangs_starves_no_other(opened: Open, tmp_path: Path) -> None:
    """The south delivers everything while the north's first submit is still on the wire."""
    ws = opened()
    drop(tmp_path, *cascadia("N1", "N2"), *oakhurst("S1", "S2", "S3"))
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: answered.wait(30) and None
    passing = threading.Thread(target=once, args=(ws,))
    passing.start()
    try:
        until(lambda: len(SCRIPTS["south"].arrived) == 3, "the south's three")
        assert ["N1"] == SCRIPTS["north"].arrived
    finally:
        answered.set()
        passing.join()
    assert set(states(ws).values()) == {ACCEPTED}


@pytest.mark.parametrize(("cap", "side_by_side"), [("", 3), ("2", 2)])
def test_a_lane_sends_as_many_side_by_side_as_portal_and_hub_yaml_allow(
    opened: Open, tmp_path: Path, cap: str, side_by_side: int
) -> None:
    """Exactly so many are on the wire at once; the rest wait."""
    capped = f"}}, max_parallel: {cap}, limits: {{" if cap else ""
    ws = opened(north=f", max_parallel: 3{capped}")
    drop(tmp_path, *cascadia(*"ABCDEF"))
    gate = threading.Barrier(side_by_side, timeout=10)
    SCRIPTS["north"].submit = lambda _step: gate.wait() and None
    assert set(once(ws).values()) == {ACCEPTED}
    assert side_by_side == len({name for name in SCRIPTS["north"].threads if name.startswith("north")})


def test_progress_is_shown_by_the_one_who_asked(opened: Open, tmp_path: Path) -> None:
    """Bars cannot be drawn by several threads at once; each kind of work is shown in turn, with its count."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B"), *oakhurst("C"))
    shown: list[tuple[str, int, int]] = []
    here = threading.current_thread()

    def progress(what: str, items: Iterable[int], total: int) -> Iterable[int]:
        assert here is threading.current_thread()
        found = list(items)
        shown.append((what, len(found), total))
        return found

    local.once(ws, progress, quiet=0)
    assert [("checking", 3, 3), ("delivering", 3, 3)] == [each for each in shown if each[2] and "coll" not in each[0]]


def test_connectors_are_closed_with_their_threads(opened: Open, tmp_path: Path) -> None:
    """Pass after pass leaves no connector open but the calling thread's own, which the workspace closes."""
    ws = opened(north=", max_parallel: 2, statuses: true")
    for number in "ABC":
        drop(tmp_path, *cascadia(number))
        once(ws)
    north = SCRIPTS["north"]
    assert north.made - north.closed == 1
    ws.close()
    assert north.made <= north.closed
    assert [] == [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("north", "south", "people"))
    ]


# --- what fails stops nothing else -----------------------------------------------------------------------------------


def test_a_submit_that_fails_in_a_way_it_should_not_stops_no_other(opened: Open, tmp_path: Path) -> None:
    """It may have arrived, so a person looks; the others arrive."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"))

    def submit(step: Step) -> Receipt | None:
        if step.bytes.startswith(b"B "):
            raise RuntimeError("no such attribute")
        return None

    SCRIPTS["north"].submit = submit
    once(ws)
    assert {"A": ACCEPTED, "B": Submission.NEEDS_HUMAN, "C": ACCEPTED} == once(ws)


def test_a_check_that_fails_stops_no_other_and_tells_no_secret(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback, scrubbed; the others go out."""
    ws = opened()
    monkeypatch.setattr(ws.archive, "scrub", type(ws.archive.scrub)(("the-canary-secret",)))
    drop(tmp_path, *cascadia("A", "B"))
    known = check.check

    def failing(space: Workspace, submission_id: int) -> Submission:
        if submission_id == 1:
            raise RuntimeError("cannot sign in with the-canary-secret")
        return known(space, submission_id)

    monkeypatch.setattr(check, "check", failing)
    found = once(ws)
    assert [Submission.DRAFT, ACCEPTED] == sorted(found.values(), reverse=True)
    assert "checking submission 1 failed" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_a_connection_that_cannot_be_opened_stops_no_other(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate file is gone, say: its invoices wait where they are."""
    ws = opened()
    drop(tmp_path, *oakhurst("S"))
    made = Scripted.__init__

    def init(self: Scripted, settings: Any, context: Any) -> None:
        if settings.name == "north":
            raise OSError(2, "No such file", "client.pem")
        made(self, settings, context)

    monkeypatch.setattr(Scripted, "__init__", init)
    monkeypatch.setattr(collect, "overdue", lambda _ws: [])
    assert {"S": ACCEPTED} == once(ws)


def test_an_inbox_that_cannot_be_used_stops_nothing_else(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the source and the cause."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    list(work.scan(ws, "inbox", quiet=0))
    (tmp_path / "inbox").rmdir()
    (tmp_path / "inbox").write_text("a file where the folder was")
    assert {"A": ACCEPTED} == once(ws)
    assert "source inbox cannot be used" in caplog.text


def test_a_database_that_is_gone_ends_the_pass(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written down must not go on: the error comes out, and nothing more is sent."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"))
    tried: list[int] = []

    def gone(_ws: Workspace, submission_id: int) -> Submission:
        tried.append(submission_id)
        raise StoreError("hub.db: the disk is full; free some space and run the same command again")

    monkeypatch.setattr(deliver, "deliver", gone)
    with pytest.raises(StoreError, match="disk is full"):
        once(ws)
    assert ws.cancel.is_set()
    assert [] == SCRIPTS["north"].arrived


def test_a_refused_login_stops_its_lane_at_once(opened: Open, tmp_path: Path) -> None:
    """Of a long queue one tries the login, so that no account is locked; the other lane goes on."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"), *oakhurst("S"))

    def refuse(_step: Step) -> Receipt:
        raise AuthFailed("the portal does not know us")

    SCRIPTS["north"].submit = refuse
    assert {"A": READY, "B": READY, "C": READY, "S": ACCEPTED} == once(ws)
    assert 1 == SCRIPTS["north"].asked.count("submit")


# --- what may be worked, and when ------------------------------------------------------------------------------------


def test_a_paused_connection_is_not_worked(opened: Open, tmp_path: Path) -> None:
    """Neither submits nor looks nor polls; resumed, everything goes."""
    ws = opened(north=", statuses: true")
    drop(tmp_path, *cascadia("A"))
    with ws.db.writing("test") as tx:
        ledger.pause(tx, t.connection, "north", at=ws.now(), actor="person:maria", why="maintenance")
    assert {"A": READY} == once(ws)
    assert [] == SCRIPTS["north"].asked
    with ws.db.writing("test") as tx:
        ledger.resume(tx, t.connection, "north", at=ws.now(), actor="person:maria", why="over")
    assert {"A": ACCEPTED} == once(ws)
    assert {"submit", "statuses"} == set(SCRIPTS["north"].asked)


def test_a_paused_account_is_not_worked_and_ends_the_pass(opened: Open, tmp_path: Path) -> None:
    """Its invoices are due and cannot be had: the pass neither sends them nor asks for them for ever."""
    ws = opened(oakhurst="north")
    drop(tmp_path, *cascadia("A"), *oakhurst("B"))
    with ws.db.writing("test") as tx:
        ledger.pause(tx, t.account, "cascadia-us", at=ws.now(), actor="person:maria", why="not yet")
    assert {"A": READY, "B": ACCEPTED} == once(ws)


def test_what_failed_is_tried_again_when_it_is_due_by_the_workspaces_clock(opened: Open, tmp_path: Path) -> None:
    """`ws.now` is the one clock of everything that is due."""
    ws = opened()
    now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    ws.now = lambda: now
    drop(tmp_path, *cascadia("A"))

    def unreachable(_step: Step) -> Receipt:
        raise Transient("no connection", delivered=Delivered.NO)

    SCRIPTS["north"].submit = unreachable
    assert {"A": READY} == once(ws)
    assert {"A": READY} == once(ws)
    assert ["A"] == SCRIPTS["north"].arrived
    SCRIPTS["north"].submit = Script().submit
    now += dt.timedelta(seconds=30)
    assert {"A": ACCEPTED} == once(ws)


def test_rules_that_were_changed_are_read_anew(opened: Open, tmp_path: Path) -> None:
    """What they held goes out by itself once they let it pass."""
    ws = opened()
    drop(tmp_path, invoice("A", order=""))
    assert {"A": HELD} == once(ws)
    file = tmp_path / "rules" / "scripted" / "default.yaml"
    file.write_text(file.read_text().replace("required: true", "max_length: 35"))
    assert {"A": ACCEPTED} == once(ws)


def test_statuses_come_in_and_move_the_stage(opened: Open, tmp_path: Path) -> None:
    """A pass collects after it has delivered."""
    ws = opened(north=", statuses: true")
    drop(tmp_path, *cascadia("A"))
    seen = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    event = StatusEvent("e-1", Refs(portal_id="P-A"), Concerns.STAGE, Stage.PAID, "Paid", seen)
    SCRIPTS["north"].statuses = lambda cursor: [Page((event,), "2")] if cursor is None else []
    once(ws)
    once(ws)
    assert [Stage.PAID] == [row.stage for row in rows(ws, t.submission)]
    assert 1 == len(rows(ws, t.event))


# --- after a death ---------------------------------------------------------------------------------------------------


def test_what_a_dead_worker_left_is_taken_up_at_the_start(opened: Open, tmp_path: Path) -> None:
    """What was claimed and not sent goes out in the same pass; what was begun and never ended a person looks for."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    at = ws.now()
    with ws.db.writing("test") as tx:
        ids = [row.id for row in tx.execute(sa.select(t.submission).order_by(t.submission.c.id))]
        for one in ids:
            ledger.claim(tx, one, owner="dead:1", until=at + dt.timedelta(hours=1), at=at)
    other = opened()
    other.portal("north").for_reading()
    died = threading.Event()

    def die(_step: Step) -> Receipt:
        died.set()
        raise SystemExit  # as far as the ledger knows, the process ended in the middle of this call

    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().where(t.submission.c.id == ids[1]).values(state=READY, lease_owner=None))
    SCRIPTS["north"].submit = die
    with pytest.raises(SystemExit):
        deliver.deliver(other, ids[1])
    SCRIPTS["north"].submit = Script().submit
    assert {"A": Submission.SENDING, "B": Submission.SENDING} == states(ws)
    assert {"A": ACCEPTED, "B": Submission.NEEDS_HUMAN} == once(ws)
    assert ["B", "A"] == SCRIPTS["north"].arrived


def test_what_is_in_doubt_at_a_connection_that_is_gone_stays_in_doubt(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is nobody's to ask; the pass goes on without a word of failure."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    SCRIPTS["north"].submit = lambda _step: 1 / 0  # type: ignore[return-value]
    local.once(ws, quiet=0)
    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().values(connection="gone", state=Submission.IN_DOUBT, due_at=ws.now()))
    caplog.clear()
    assert {"A": Submission.IN_DOUBT} == once(ws)
    assert "" == caplog.text


def test_a_lane_asks_for_each_thing_once(opened: Open, tmp_path: Path) -> None:
    """While a delivery waits or is under way it is not asked for again, nor is a poll."""
    ws = opened(north=", statuses: true")
    drop(tmp_path, *cascadia("A", "B"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: answered.wait(10) and None
    lane = lanes.Lane(ws, "north")
    try:
        asked = lane.deliver_due()
        until(lambda: SCRIPTS["north"].arrived, "the first submit")
        assert (2, [], 1, []) == (len(asked), lane.deliver_due(), len(lane.poll()), lane.poll())
    finally:
        answered.set()
        assert [1, 1] == [each.result(10) for each in asked]
        assert lane.close(seconds=10)
    assert ["A", "B"] == sorted(SCRIPTS["north"].arrived)


def test_closing_a_lane_drops_what_was_not_begun(opened: Open, tmp_path: Path) -> None:
    """What is on the wire may end; the rest stays ready."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: answered.wait(10) and None
    lane = lanes.Lane(ws, "north")
    asked = lane.deliver_due()
    until(lambda: SCRIPTS["north"].arrived, "the first submit")
    assert not lane.close(seconds=0.05)
    answered.set()
    assert lane.close(seconds=10)
    assert [False, True, True] == [each.cancelled() for each in asked]
    assert [ACCEPTED, READY, READY] == sorted(states(ws).values())


def test_intake_words(opened: Open, tmp_path: Path) -> None:
    """A portal that says pending is believed no further than that."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    SCRIPTS["north"].submit = lambda _step: Receipt(Refs(portal_id="P-A"), Intake.PENDING, b"queued")
    assert {"A": Submission.SENT} == once(ws)
