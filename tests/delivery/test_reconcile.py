"""Doubt: when the portal is asked, what its answer settles, and what it never does."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from delivery_house import ON_BOTH, House, event, invoice, now_due, open_tasks, receive, row, rows, state, story, work
from portal_in_memory import Doc, Portal, raises

from hub.contract.connector import FoundState, Lookup, Page, Repeat
from hub.contract.errors import Duplicate, NeedsHuman, Reason, Rejected, Transient
from hub.contract.status import Concerns, Delivered
from hub.delivery import check, collect, deliver, reconcile, tasks
from hub.delivery.admit import ConflictError, withdraw
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

SETTLES = dt.timedelta(seconds=30)
INTAKE = Concerns.INTAKE


def lost() -> Transient:
    return Transient("the line went dead", delivered=Delivered.UNKNOWN)


def in_doubt(house: House, *, arrives: bool, **settings: object) -> tuple[Workspace, Portal, int]:
    """An invoice whose submit ended without an answer."""
    ws, portal = house.acme(**settings)
    portal.acts.append(raises(lost, arrives=arrives))
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    assert "in_doubt" == deliver.deliver(ws, submission_id)
    return ws, portal, submission_id


def say(ws: Workspace, word: str, *, concerns: Concerns = INTAKE, number: int = 1, **refs: str) -> None:
    told = event(f"e{number}", word, at=ws.now(), concerns=concerns, **refs)
    assert 1 == collect.store(ws, "acme", Page((told,), None))


@ON_BOTH
def test_the_portal_is_not_asked_before_its_search_has_settled(house: House) -> None:
    """A search that lags would call an invoice absent that arrived; nothing is sent twice for that."""
    ws, portal, submission_id = in_doubt(house, arrives=True, repeat=Repeat.SAFE, lag=dt.timedelta(seconds=29))
    asked = portal.asked
    house.clock.now += SETTLES - dt.timedelta(seconds=1)
    assert [] == reconcile.due(ws)
    now_due(ws)
    assert asked == portal.asked
    house.clock.forward(seconds=1)
    assert [submission_id] == reconcile.due(ws)
    now_due(ws)
    assert ("sent", 1, asked + 1) == (state(ws, submission_id), len(portal.sent), portal.asked)


@pytest.mark.parametrize("word", ["accepted", "refused"])
def test_a_word_that_comes_while_in_doubt_brings_no_look_before_settling(sqlite: House, word: str) -> None:
    """It is kept and hastens a look that is put off, but never to before the search must know."""
    ws, portal, submission_id = in_doubt(sqlite, arrives=True, lag=dt.timedelta(seconds=29))
    say(ws, word, payload_id=row(ws, submission_id).payload_id or "")
    assert sqlite.clock() + SETTLES == row(ws, submission_id).due_at
    assert "in_doubt" == state(ws, submission_id)
    sqlite.clock.now += SETTLES
    portal.finds.append(lambda: (_ for _ in ()).throw(lost()))
    now_due(ws)
    assert row(ws, submission_id).due_at > sqlite.clock()
    say(ws, word, number=2, payload_id=row(ws, submission_id).payload_id or "")
    assert sqlite.clock() == row(ws, submission_id).due_at


def test_doubt_never_ages_into_a_verdict(house: House) -> None:
    """A portal that cannot be reached for days leaves the doubt as it is; then one answer settles it."""
    ws, portal, submission_id = in_doubt(house, arrives=True, repeat=Repeat.SAFE)
    down = [lambda: (_ for _ in ()).throw(lost())] * 60
    portal.finds.extend(down)
    looked = []
    for _ in range(60):
        house.clock.now = row(ws, submission_id).due_at
        looked.append(house.clock())
        now_due(ws)
        assert "in_doubt" == state(ws, submission_id)
    gaps = [(after - before).total_seconds() for before, after in pairwise(looked)]
    assert (60, 3600) == (gaps[0], gaps[-1])
    assert gaps == sorted(gaps)
    assert 60 == len(rows(ws, t.transition, t.transition.c.subject == "lookup"))
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))


def test_a_look_is_put_off_as_long_as_the_portal_asks(sqlite: House) -> None:
    """Its own waiting time is honoured where it is longer than ours."""
    ws, portal, submission_id = in_doubt(sqlite, arrives=True)
    sqlite.clock.now += SETTLES
    busy = Transient("busy", delivered=Delivered.NO, retry_after=dt.timedelta(hours=7))
    portal.finds.append(lambda: (_ for _ in ()).throw(busy))
    now_due(ws)
    assert sqlite.clock() + dt.timedelta(hours=7) == row(ws, submission_id).due_at


def test_a_lookup_that_wants_a_person_asks_one_and_goes_on_with_the_answer(sqlite: House) -> None:
    """The doubt stays meanwhile; the answer brings the next look."""
    ws, portal, submission_id = in_doubt(sqlite, arrives=True)
    sqlite.clock.now += SETTLES
    portal.finds.append(lambda: (_ for _ in ()).throw(NeedsHuman("a captcha", action="solve it")))
    now_due(ws)
    [task] = open_tasks(ws, submission_id)
    assert "in_doubt" == state(ws, submission_id)
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    now_due(ws)
    assert "sent" == state(ws, submission_id)


def test_a_connection_that_left_hub_yaml_keeps_its_doubt(sqlite: House) -> None:
    """It cannot be asked, so nothing is known, and the loop does not spin on it."""
    ws, _, submission_id = in_doubt(sqlite, arrives=True)
    sqlite.clock.now += SETTLES
    ws.portals.clear()
    assert "in_doubt" == reconcile.reconcile(ws, submission_id)
    assert row(ws, submission_id).due_at > sqlite.clock()
    assert "no connection 'acme'" in rows(ws, t.transition, t.transition.c.subject == "lookup")[-1].why


@ON_BOTH
def test_a_judgement_about_what_has_moved_on_is_dropped(house: House) -> None:
    """A person answered while the portal was being asked: the answer stands."""
    ws, portal, submission_id = in_doubt(house, arrives=False, repeat=Repeat.SAFE)
    house.clock.now += SETTLES
    other = house.open()
    portal.finds.append(lambda: reconcile.reconcile(other, submission_id))
    assert "ready" == reconcile.reconcile(ws, submission_id)
    assert 1 == row(ws, submission_id).resends
    assert ["draft", "ready", "sending", "in_doubt", "ready"] == story(ws, submission_id)


def test_resends_back_off(sqlite: House) -> None:
    """A portal that fails for a while is not sent the same thing four times within a minute."""
    ws, _, submission_id = in_doubt(sqlite, arrives=False, repeat=Repeat.SAFE)
    sqlite.clock.now += SETTLES
    reconcile.reconcile(ws, submission_id)
    assert row(ws, submission_id).due_at > sqlite.clock() + dt.timedelta(seconds=3)
    assert [] == deliver.due(ws, "acme")


def test_three_resends_and_then_a_person(sqlite: House) -> None:
    """Four sends of the same bytes that left no trace are enough."""
    ws, portal = sqlite.acme(repeat=Repeat.SAFE)
    portal.acts.extend([raises(lost)] * 9)
    submission_id = receive(ws, invoice("A-1"))
    work(ws, sqlite.clock)
    assert ("needs_human", 4, 1) == (state(ws, submission_id), len(portal.sent), len(open_tasks(ws)))


@ON_BOTH
def test_after_a_duplicate_the_portal_is_asked_twice_and_then_a_person(house: House) -> None:
    """Both looks wait for the search to settle, and nothing is ever sent again, though the first attempt said no."""
    ws, portal = house.acme(repeat=Repeat.SAFE)
    portal.acts.append(raises(lambda: Duplicate("we have A-1", reasons=(Reason("exists"),))))
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    deliver.deliver(ws, submission_id)
    before, asked = house.clock(), portal.asked
    work(ws, house.clock)
    assert ("needs_human", 1, asked + 2) == (state(ws, submission_id), len(portal.sent), portal.asked)
    assert house.clock() >= before + 2 * SETTLES
    [task] = open_tasks(ws, submission_id)
    assert "said duplicate" in task.title


@ON_BOTH
def test_a_duplicate_of_what_is_ours_is_adopted(house: House) -> None:
    """The earlier attempt arrived after all; its portal id is known from now on."""
    ws, portal = house.acme(unique_numbers=True, repeat=Repeat.REFUSES, lag=dt.timedelta(seconds=3600), settles=1)
    portal.acts.append(raises(lost, arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    deliver.deliver(ws, submission_id)
    house.clock.forward(seconds=2)
    assert "ready" == reconcile.reconcile(ws, submission_id)
    house.clock.forward(hours=2)
    work(ws, house.clock)
    assert ("sent", "P-1", 1) == (state(ws, submission_id), row(ws, submission_id).portal_id, len(portal.docs))
    assert ["Transient", "Duplicate"] == [one.outcome for one in rows(ws, t.attempt)]


@ON_BOTH
def test_a_refusal_at_the_portal_settles_the_doubt(house: House) -> None:
    """A refused document of ours, with the portal's reasons."""
    ws, portal, submission_id = in_doubt(house, arrives=True)
    portal.docs[0].state, portal.docs[0].reasons = FoundState.REFUSED, (Reason("no such order", portal_code="E7"),)
    work(ws, house.clock)
    one = row(ws, submission_id)
    assert ("refused", "no such order", "E7") == (one.state, one.reason_text, one.reason_portal_code)


def test_an_earlier_revisions_refused_document_is_not_this_ones(house: House) -> None:
    """Rejected, corrected, lost: the first's refused document accounts for the first, and the second goes again."""
    ws, portal = house.acme(repeat=Repeat.SAFE)
    portal.acts.append(raises(lambda: Rejected("no", reasons=(Reason("no"),))))
    receive(ws, invoice("A-1"))
    work(ws, house.clock)
    portal.docs.append(the_first(portal, FoundState.REFUSED))
    portal.acts.append(raises(lost))
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, second), len(portal.live()))


def the_first(portal: Portal, state: FoundState, portal_id: str = "P-9") -> Doc:
    """The first revision's document as the portal lists it."""
    return Doc(portal_id, "x", "A-1", "C-acme", invoice("A-1").total, state, portal.clock())


@ON_BOTH
def test_an_earlier_revisions_document_does_not_hide_this_ones(house: House) -> None:
    """The accepted first is known by its id; the second, of the same total, is found beside it."""
    ws, portal = house.acme()
    original = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    say(ws, "rejected", concerns=Concerns.STAGE, portal_id="P-1")
    portal.acts.append(raises(lost, arrives=True))
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, house.clock)
    assert ("superseded", "sent") == (state(ws, original), state(ws, second))
    assert ("P-1", "P-2") == (row(ws, original).portal_id, row(ws, second).portal_id)
    assert 2 == len(portal.sent)


@pytest.mark.parametrize(
    ("lookup", "arrives", "expected"),
    [
        (Lookup.NONE, True, "accepted"),  # the portal's own word is all there is
        (Lookup.NONE, False, "accepted"),
        (Lookup.EXACT, True, "accepted"),
        (Lookup.EXACT, False, "needs_human"),  # it says one thing and shows another
    ],
)
def test_a_word_that_it_is_there_is_weighed_with_the_lookup(
    house: House,
    lookup: Lookup,
    arrives: bool,  # noqa: FBT001 - a fact
    expected: str,
) -> None:
    """An acceptance that came while in doubt is never answered with a second send, and is listened to afterwards."""
    ws, portal, submission_id = in_doubt(house, arrives=arrives, lookup=lookup, repeat=Repeat.SAFE)
    say(ws, "accepted", payload_id=row(ws, submission_id).payload_id or "")
    [told] = rows(ws, t.event)
    assert (False, "waits, for the submission is in_doubt") == (told.applied, told.note)
    work(ws, house.clock)
    assert (expected, 1) == (state(ws, submission_id), len(portal.sent))
    if expected == "needs_human":
        [task] = open_tasks(ws, submission_id)
        tasks.answer(ws, task.id, Spoken(Say.SENT, "ann", "P-7"))
        assert "accepted" == state(ws, submission_id)
    [told] = rows(ws, t.event)
    assert told.applied


def test_a_refusing_word_while_in_doubt_is_a_refusal_if_only_one_can_be_meant(house: House) -> None:
    """Also at a portal that cannot be asked; with a second attempt that may be there, it is a person's."""
    ws, portal, one = in_doubt(house, arrives=False, lookup=Lookup.NONE, repeat=Repeat.SAFE)
    say(ws, "refused", payload_id=row(ws, one).payload_id or "")
    work(ws, house.clock)
    assert ("refused", 1, []) == (state(ws, one), len(portal.sent), open_tasks(ws))

    portal.acts.extend([raises(lost)] * 2)
    two = receive(ws, invoice("A-2"))
    for _ in range(2):
        now_due(ws)
        house.clock.now = row(ws, two).due_at or house.clock()
    now_due(ws)
    assert ("in_doubt", 3) == (state(ws, two), len(portal.sent))
    say(ws, "refused", number=2, payload_id=row(ws, two).payload_id or "")
    work(ws, house.clock)
    [task] = open_tasks(ws, two)
    assert ("needs_human", 3) == (state(ws, two), len(portal.sent))
    assert "another attempt of it may have arrived" in task.title


def late_refusal(ws: Workspace, submission_id: int, portal: Portal) -> None:
    say(ws, "refused", number=9, payload_id=row(ws, submission_id).payload_id or "")
    assert "in_doubt" == state(ws, submission_id), portal


@ON_BOTH
@pytest.mark.parametrize(
    ("left", "lookup", "expected"),
    [
        ([FoundState.SUBMITTED], Lookup.EXACT, "sent"),
        ([FoundState.REFUSED], Lookup.EXACT, "refused"),
        ([], Lookup.EXACT, "refused"),
        ([FoundState.SUBMITTED], Lookup.NONE, "needs_human"),
    ],
)
def test_a_late_refusal_of_one_of_two_is_looked_up(
    house: House, left: list[FoundState], lookup: Lookup, expected: str
) -> None:
    """Two attempts may have arrived, the portal took the second and then refused one: which, its search must say."""
    ws, portal = house.acme(lookup=lookup, repeat=Repeat.SAFE)
    portal.acts.append(raises(lost))
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert ("sent", 2) == (state(ws, submission_id), len(portal.sent))
    late_refusal(ws, submission_id, portal)
    for doc, state_there in zip(list(portal.docs), left or [None], strict=True):
        portal.docs.remove(doc)
        if state_there:
            doc.state = state_there
            portal.docs.append(doc)
    work(ws, house.clock)
    assert (expected, 2) == (state(ws, submission_id), len(portal.sent))
    assert (1 if expected == "needs_human" else 0) == len(open_tasks(ws))


def test_a_late_duplicate_is_looked_up_and_never_sent_again(house: House) -> None:
    """Sent and taken, then called a duplicate: the portal shows it, or a person looks."""
    for number, (vanishes, expected) in enumerate(((False, "sent"), (True, "needs_human"))):
        ws, portal = house.acme(repeat=Repeat.SAFE)
        submission_id = receive(ws, invoice(f"A-{number}"))
        work(ws, house.clock)
        say(ws, "duplicate", number=number, payload_id=row(ws, submission_id).payload_id or "")
        assert "in_doubt" == state(ws, submission_id)
        if vanishes:
            portal.docs.clear()
        work(ws, house.clock)
        assert (expected, 1) == (state(ws, submission_id), len(portal.sent))


@pytest.mark.parametrize("ask", [Lookup.EXACT, Lookup.NONE])
def test_a_rejection_keeps_the_portals_words(sqlite: House, ask: Lookup) -> None:
    """After a lost attempt too: in the refusal, or in the question that a person is asked."""
    ws, portal = sqlite.acme(lookup=ask, repeat=Repeat.SAFE)
    portal.acts.extend([raises(lost), raises(lambda: Rejected("no", reasons=(Reason("line 3 is wrong"),)))])
    submission_id = receive(ws, invoice("A-1"))
    work(ws, sqlite.clock)
    if ask is Lookup.EXACT:
        assert ("refused", "line 3 is wrong") == (state(ws, submission_id), row(ws, submission_id).reason_text)
    else:
        [task] = open_tasks(ws, submission_id)
        assert "line 3 is wrong" in task.title
    assert 2 == len(portal.sent)


def test_a_second_revision_of_one_that_may_be_there_is_not_taken(sqlite: House) -> None:
    """While it may stand at a portal that cannot be asked, other content would be a second document."""
    ws, portal, submission_id = in_doubt(sqlite, arrives=True, lookup=Lookup.NONE, repeat=Repeat.SAFE)
    sqlite.clock.now += SETTLES
    assert "ready" == reconcile.reconcile(ws, submission_id)
    with pytest.raises(ConflictError, match="may be at the portal already"):
        receive(ws, invoice("A-1", content="corrected"))
    with pytest.raises(ConflictError, match="may be at the portal already"):
        withdraw(ws, submission_id, by="ann", why="wrong")
    work(ws, sqlite.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))


def test_a_second_revision_of_one_that_is_absent_is_taken(sqlite: House) -> None:
    """The settled lookup found nothing: the correction goes in its place."""
    ws, portal, submission_id = in_doubt(sqlite, arrives=False, repeat=Repeat.SAFE)
    sqlite.clock.now += SETTLES
    assert "ready" == reconcile.reconcile(ws, submission_id)
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, sqlite.clock)
    assert ("superseded", "sent") == (state(ws, submission_id), state(ws, second))
    assert ["corrected"] == [doc.content for doc in portal.docs]


@ON_BOTH
def test_a_portal_that_stays_silent_about_a_doubt_is_told_to_a_person(house: House) -> None:
    """After two hours one task says so for the whole connection, the doubt stays, and an answer closes it."""
    ws, portal, one = in_doubt(house, arrives=True)
    for hours, asked in ((1, 0), (2, 1), (3, 1)):
        house.clock.forward(hours=1, minutes=1)
        portal.finds.append(lambda: (_ for _ in ()).throw(lost()))
        assert "in_doubt" == reconcile.reconcile(ws, one)
        assert asked == len(open_tasks(ws)), hours
    (task,) = open_tasks(ws)
    assert ("connection", "acme") == (task.scope, task.connection)
    assert "the line went dead" in task.title
    house.clock.forward(hours=2)
    assert "sent" == reconcile.reconcile(ws, one)
    assert [] == open_tasks(ws)
