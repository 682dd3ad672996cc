"""Looking again at what seemed settled: what each look finds, and what follows from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
import sqlalchemy as sa
from delivery_house import (
    ON_BOTH,
    House,
    event,
    hear,
    invoice,
    now_due,
    open_tasks,
    receive,
    row,
    rows,
    sent,
    state,
    story,
    work,
)
from portal_in_memory import Clock, Death, Doc, Portal, raises

from hub import durable
from hub.contract.connector import FoundState, Lookup, Repeat
from hub.contract.errors import AuthFailed, NeedsHuman, Reason, Rejected, Scope, Transient
from hub.contract.invoice import Money
from hub.contract.status import Concerns, Delivered
from hub.delivery import audit, check, collect, deliver, ledger, tasks
from hub.delivery.admit import ConflictError, withdraw
from hub.delivery.audit import look, next_look
from hub.delivery.lifecycle import Happening
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

DAY = dt.timedelta(days=1)


def lost() -> Transient:
    return Transient("the line went dead", delivered=Delivered.UNKNOWN)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def there(
    portal: Portal,
    *,
    state: FoundState = FoundState.SUBMITTED,
    total: str = "121.00",
    customer: str = "C-acme",
    number: str = "A-1",
) -> Doc:
    """A document that stands at the portal by nobody's doing whom we know."""
    doc = Doc(f"X-{len(portal.docs) + 1}", "x", number, customer, euros(total), state, portal.clock())
    portal.docs.append(doc)
    return doc


def held(house: House, number: str = "A-1") -> tuple[Workspace, Portal, int]:
    """An invoice that our rules hold."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice(number, buyer_reference=None))
    check.check(ws, submission_id)
    assert "held" == state(ws, submission_id)
    return ws, portal, submission_id


def ready(house: House, **settings: object) -> tuple[Workspace, Portal, int]:
    """An invoice that may go."""
    ws, portal = house.acme(**settings)
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    assert "ready" == state(ws, submission_id)
    return ws, portal, submission_id


def accepted(house: House, **settings: object) -> tuple[Workspace, Portal, int]:
    ws, portal, submission_id = sent(house, **settings)
    hear(ws, event("e1", "accepted", at=ws.now(), concerns=Concerns.INTAKE, portal_id="P-1"))
    assert "accepted" == state(ws, submission_id)
    return ws, portal, submission_id


def refused(house: House) -> tuple[Workspace, Portal, int]:
    ws, portal = house.acme()
    portal.acts.append(raises(lambda: Rejected("no", reasons=(Reason("no order"),))))
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert "refused" == state(ws, submission_id)
    return ws, portal, submission_id


def settle(house: House) -> None:
    house.clock.forward(hours=2)


def lookups(ws: Workspace) -> list[tuple[str, str]]:
    """What the looks wrote down."""
    return [(one.after, one.why) for one in rows(ws, t.transition, t.transition.c.subject == "lookup")]


@ON_BOTH
def test_a_look_that_agrees_is_remembered_by_its_time_alone(house: House) -> None:
    """Thousands of looks that say nothing new leave no thousands of rows."""
    ws, _, submission_id = sent(house)
    settle(house)
    before = len(rows(ws, t.transition))
    looked = look(ws, submission_id)
    assert ("agrees", "A-1", "acme") == (looked.outcome, looked.number, looked.connection)
    assert house.clock() == row(ws, submission_id).looked_at
    assert ("sent", before, []) == (state(ws, submission_id), len(rows(ws, t.transition)), open_tasks(ws))


@ON_BOTH
def test_what_was_sent_and_is_missing_there_is_a_persons_to_look_for(house: House) -> None:
    """It is not sent again by itself; the person's answer decides, and the same absence is not asked about twice."""
    ws, portal, submission_id = sent(house)
    settle(house)
    portal.docs.clear()
    assert "missing" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert ("needs_human", "look", 1) == (state(ws, submission_id), task.kind, len(portal.sent))
    tasks.answer(ws, task.id, Spoken(Say.SENT, "ann"))
    house.clock.forward(days=1)
    assert "missing" == look(ws, submission_id).outcome
    assert ("sent", []) == (state(ws, submission_id), open_tasks(ws))
    hear(ws, event("e1", "accepted", at=ws.now(), concerns=Concerns.INTAKE, portal_id="P-1"))


def test_what_a_person_says_is_not_there_goes_once_more(house: House) -> None:
    """Missing, looked for, not there: sent again, and missing again is a new question."""
    ws, portal, submission_id = sent(house)
    for sends in (1, 2):
        settle(house)
        assert sends == len(portal.sent)
        portal.docs.clear()
        look(ws, submission_id)
        [task] = open_tasks(ws, submission_id)
        tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
        work(ws, house.clock)
        assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))


def test_what_was_missing_and_shows_again_is_sent_again_by_itself(sqlite: House) -> None:
    """A search that was broken for a while asks many people; when it works again, they need not answer."""
    ws, portal, submission_id = sent(sqlite)
    docs = list(portal.docs)
    settle(sqlite)
    portal.docs.clear()
    look(ws, submission_id)
    assert ("needs_human", 1) == (state(ws, submission_id), len(open_tasks(ws)))
    portal.docs.extend(docs)
    sqlite.clock.forward(days=1)
    assert [submission_id] == audit.due(ws, "acme")
    assert "adopted" == look(ws, submission_id).outcome
    assert ("sent", [], 1) == (state(ws, submission_id), open_tasks(ws), len(portal.sent))


def test_that_it_is_there_does_not_answer_why_the_portal_is_silent(sqlite: House) -> None:
    """Overdue: a person is asked, and stays asked; it is not looked for again by itself."""
    ws, _, submission_id = sent(sqlite, acknowledged=60)
    sqlite.clock.forward(days=2)
    assert [submission_id] == collect.overdue(ws)
    assert ([], "agrees") == (audit.due(ws, "acme"), look(ws, submission_id).outcome)
    assert ("needs_human", 1) == (state(ws, submission_id), len(open_tasks(ws)))


@ON_BOTH
def test_what_was_accepted_and_is_missing_there_is_a_question(house: House) -> None:
    """The portal said that it has it, and that still stands; only the answer "not there" lets it go again."""
    ws, portal, submission_id = accepted(house)
    settle(house)
    portal.docs.clear()
    assert "missing" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert ("accepted", "decide") == (state(ws, submission_id), task.kind)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    work(ws, house.clock)
    assert ("sent", 1, 2) == (state(ws, submission_id), len(portal.docs), len(portal.sent))


def test_an_absence_counts_only_after_settling_and_where_the_portal_is_asked_by_number(sqlite: House) -> None:
    """Before, it is not known yet; in a list that is read through, it proves nothing."""
    ws, portal, submission_id = sent(sqlite)
    portal.docs.clear()
    assert ("could_not_ask", None) == (look(ws, submission_id).outcome, row(ws, submission_id).looked_at)

    ws, portal, submission_id = sent(sqlite, number="A-2", lookup=Lookup.LISTING)
    settle(sqlite)
    portal.docs.clear()
    assert ("no_lookup", "sent") == (look(ws, submission_id).outcome, state(ws, submission_id))
    assert [] == open_tasks(ws)


def test_a_portal_that_cannot_be_asked_is_not(sqlite: House) -> None:
    """It has no lookup, and nothing is due there."""
    ws, portal, submission_id = sent(sqlite, lookup=Lookup.NONE)
    sqlite.clock.forward(days=30)
    assert ("no_lookup", 0, []) == (look(ws, submission_id).outcome, portal.asked, audit.due(ws, "acme"))


def test_another_amount_there_is_a_question_that_names_both(house: House) -> None:
    """Known by the portal's id or by the number alone; asked once, and not again after the answer."""
    ws, portal, submission_id = sent(house)
    settle(house)
    portal.docs[0].total = euros("100.00")
    for _ in range(2):
        looked = look(ws, submission_id)
        assert ("differs", "sent") == (looked.outcome, state(ws, submission_id))
        assert "100.00 EUR" in looked.words
        assert "121.00 EUR" in looked.words
    [task] = open_tasks(ws, submission_id)
    assert looked.words in task.title
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    house.clock.forward(days=1)
    assert "differs" == look(ws, submission_id).outcome
    assert ([], 1) == (open_tasks(ws), len(lookups(ws)))
    portal.docs[0].total = euros("121.00")
    assert "agrees" == look(ws, submission_id).outcome
    assert ["differs", "agrees"] == [after for after, _ in lookups(ws)]


@pytest.mark.parametrize("total", ["121.00", "99.00"])
def test_two_living_documents_under_our_number_are_a_question(house: House, total: str) -> None:
    """Whatever the second one's amount: one invoice is owed once."""
    ws, portal, submission_id = sent(house)
    settle(house)
    there(portal, total=total)
    assert "differs" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert ("decide", "sent") == (task.kind, state(ws, submission_id))
    assert "2 times" in task.title
    with pytest.raises(ConflictError, match=f"task {task.id}"):
        receive(ws, invoice("A-1", content="corrected"))


def test_a_document_of_another_customer_under_our_number_is_not_ours(sqlite: House) -> None:
    """Numbers are ours for each customer."""
    ws, portal, submission_id = sent(sqlite)
    settle(sqlite)
    there(portal, customer="C-other")
    assert "agrees" == look(ws, submission_id).outcome


@pytest.mark.parametrize(
    ("there_it_is", "words"),
    [(FoundState.VOID, "cancelled"), (FoundState.REFUSED, "refused"), (FoundState.DRAFT, "draft")],
)
def test_what_lives_here_and_not_there_is_a_question(sqlite: House, there_it_is: FoundState, words: str) -> None:
    """Cancelled, refused or a draft at the portal, and sent here."""
    ws, portal, submission_id = sent(sqlite)
    settle(sqlite)
    portal.docs[0].state = there_it_is
    looked = look(ws, submission_id)
    assert ("differs", "sent", 1) == (looked.outcome, state(ws, submission_id), len(open_tasks(ws)))
    assert words in looked.words


@ON_BOTH
@pytest.mark.parametrize("make", [held, ready])
def test_what_somebody_keyed_in_is_adopted(
    house: House, make: Callable[[House], tuple[Workspace, Portal, int]]
) -> None:
    """Number, customer and total are ours: it is sent, with the portal's id, and nothing goes out."""
    ws, portal, submission_id = make(house)
    there(portal)
    looked = look(ws, submission_id)
    one = row(ws, submission_id)
    assert ("adopted", "sent", "X-1") == (looked.outcome, one.state, one.portal_id)
    assert (house.clock(), None, []) == (one.sent_at, one.first_attempt_at, portal.sent)
    last = rows(ws, t.transition, t.transition.c.submission_id == submission_id)[-1]
    assert last.evidence.startswith("lookup:")
    assert ["lookup"] == [each.kind for each in rows(ws, t.evidence, t.evidence.c.kind == "lookup")]
    work(ws, house.clock)
    assert [] == portal.sent


def test_what_was_adopted_before_its_check_and_is_not_there_is_checked_before_it_goes(sqlite: House) -> None:
    """It had no document to send; a person's word that it is not there brings it to the check, not to the wire."""
    ws, portal, submission_id = held(sqlite)
    there(portal)
    look(ws, submission_id)
    portal.docs.clear()
    settle(sqlite)
    look(ws, submission_id)
    [task] = open_tasks(ws)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    work(ws, sqlite.clock)
    assert ("held", []) == (state(ws, submission_id), portal.sent)


def test_an_unclear_document_stops_what_would_go(house: House) -> None:
    """Our number over another amount: a person looks before anything is sent."""
    ws, portal, submission_id = ready(house)
    there(portal, total="99.00")
    assert "unknown" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert ("needs_human", "look") == (state(ws, submission_id), task.kind)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    assert ("unknown", "ready") == (look(ws, submission_id).outcome, state(ws, submission_id))


def test_an_unclear_document_is_a_question_about_what_is_held(sqlite: House) -> None:
    """It is not going anywhere, and stays held."""
    ws, portal, submission_id = held(sqlite)
    there(portal, total="99.00")
    assert "unknown" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert ("held", "decide") == (state(ws, submission_id), task.kind)


def test_a_draft_that_somebody_made_stops_what_would_go(sqlite: House) -> None:
    """Sending would make a second one beside it."""
    ws, portal, submission_id = ready(sqlite)
    there(portal, state=FoundState.DRAFT)
    assert ("differs", "needs_human") == (look(ws, submission_id).outcome, state(ws, submission_id))


def test_what_was_refused_and_arrived_after_all_is_a_question(house: House) -> None:
    """Never silently: it blocks new content under the number until it is answered."""
    ws, portal, submission_id = refused(house)
    there(portal)
    looked = look(ws, submission_id)
    [task] = open_tasks(ws, submission_id)
    assert ("differs", "refused", "decide") == (looked.outcome, state(ws, submission_id), task.kind)
    assert "arrived after all" in task.title
    with pytest.raises(ConflictError, match=f"task {task.id}"):
        receive(ws, invoice("A-1", content="corrected"))
    tasks.answer(ws, task.id, Spoken(Say.SENT, "ann", "X-1"))
    assert ("sent", "X-1") == (state(ws, submission_id), row(ws, submission_id).portal_id)


def test_a_refused_ones_own_refused_document_agrees(sqlite: House) -> None:
    """That is what refused means."""
    ws, portal, submission_id = refused(sqlite)
    there(portal, state=FoundState.REFUSED)
    assert ("agrees", []) == (look(ws, submission_id).outcome, open_tasks(ws))


def test_the_correction_accounts_for_the_document_of_what_it_replaced(house: House) -> None:
    """One living document for the corrected one agrees with both; a second is the first's, come late."""
    ws, portal, first = refused(house)
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, house.clock)
    settle(house)
    assert ("superseded", "sent") == (state(ws, first), state(ws, second))
    assert ["agrees", "agrees"] == [look(ws, one).outcome for one in (first, second)]
    there(portal)
    assert ["differs", "differs"] == [look(ws, one).outcome for one in (first, second)]
    assert {first, second} == {task.submission_id for task in open_tasks(ws)}


def test_what_a_correction_replaced_at_the_portal_still_stands_there(sqlite: House) -> None:
    """Accepted, rejected by the buyer, corrected: both documents are there and both are accounted for."""
    ws, portal, first = sent(sqlite)
    hear(ws, event("e1", "rejected", at=ws.now(), portal_id="P-1"))
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, sqlite.clock)
    settle(sqlite)
    assert 2 == len(portal.docs)
    assert ["agrees", "agrees"] == [look(ws, one).outcome for one in (first, second)]
    assert [] == open_tasks(ws)


def test_doubt_is_settled_when_its_time_has_come(house: House) -> None:
    """Before, the portal is not asked."""
    ws, portal = house.acme()
    portal.acts.append(raises(lost, arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    now_due(ws)
    asked = portal.asked
    assert ("could_not_ask", asked) == (look(ws, submission_id).outcome, portal.asked)
    house.clock.forward(seconds=31)
    assert ("adopted", "sent") == (look(ws, submission_id).outcome, state(ws, submission_id))
    assert house.clock() == row(ws, submission_id).looked_at


def test_a_look_that_fails_changes_nothing(house: House) -> None:
    """It says why, without the time of a look."""
    ws, portal, submission_id = sent(house)
    settle(house)
    before = [rows(ws, table) for table in (t.submission, t.transition, t.task, t.evidence)]
    for error in (lost(), ValueError("a defect"), NeedsHuman("a captcha", action="solve it")):
        portal.finds.append(raiser(error))
        looked = look(ws, submission_id)
        assert "could_not_ask" == looked.outcome
        assert str(error) in looked.words
    assert before == [rows(ws, table) for table in (t.submission, t.transition, t.task, t.evidence)]


def raiser(error: Exception) -> Callable[[], object]:
    def find() -> object:
        raise error

    return find


@ON_BOTH
@pytest.mark.parametrize(("scope", "table"), [(Scope.CONNECTION, t.connection), (Scope.ACCOUNT, t.account)])
def test_a_refused_login_pauses_what_it_concerns_and_nothing_more_is_due_there(
    house: House, scope: Scope, table: sa.Table
) -> None:
    """A person mends it; until then the looks wait."""
    ws, portal, submission_id = sent(house)
    house.clock.forward(days=2)
    assert [submission_id] == audit.due(ws, "acme")
    portal.finds.append(raiser(AuthFailed("wrong password", scope=scope)))
    assert "could_not_ask" == look(ws, submission_id).outcome
    with ws.db.reading() as tx:
        assert "wrong password" == tx.execute(sa.select(table.c.paused_why)).scalar_one()
    assert [] == audit.due(ws, "acme")


@ON_BOTH
def test_what_moves_on_while_the_portal_is_asked_is_left_alone(house: House) -> None:
    """It was withdrawn, or is being sent: the look's answer is about something that is no more."""
    ws, portal, submission_id = ready(house)
    there(portal)
    other = house.open()
    portal.finds.append(lambda: withdraw(other, submission_id, by="ann", why="keyed in"))
    assert ("could_not_ask", "withdrawn") == (look(ws, submission_id).outcome, state(ws, submission_id))
    assert ([], []) == (open_tasks(ws), lookups(ws))


def test_what_is_sent_while_the_portal_is_asked_is_not_taken_for_something_else(sqlite: House) -> None:
    """The portal shows the very document that a worker sent meanwhile: nothing is adopted, and nobody is asked."""
    ws, portal, submission_id = ready(sqlite)
    other = sqlite.open()
    portal.finds.append(lambda: deliver.deliver(other, submission_id))
    assert ("could_not_ask", "sent") == (look(ws, submission_id).outcome, state(ws, submission_id))
    assert (1, [], []) == (len(portal.docs), open_tasks(ws), lookups(ws))


@ON_BOTH
def test_two_who_look_at_once_ask_a_person_once(house: House) -> None:
    """The command beside the running hub: the second finds that it moved on."""
    ws, portal, submission_id = sent(house)
    settle(house)
    portal.docs.clear()
    other = house.open()
    portal.finds.append(lambda: look(other, submission_id))
    assert ("could_not_ask", "needs_human") == (look(ws, submission_id).outcome, state(ws, submission_id))
    assert (1, 1) == (len(open_tasks(ws)), len(lookups(ws)))


@ON_BOTH
@pytest.mark.parametrize("point", ["store.blob", "audit.apply"])
def test_a_death_in_a_look_leaves_all_of_it_or_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The next look does what the first did not, and not once more what it did."""
    ws, portal, submission_id = ready(house)
    there(portal)

    def die(what: str) -> None:
        if what == point:
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(durable, "landed", die)
        with pytest.raises(Death):
            look(ws, submission_id)
    again = house.open()
    assert ("sent" if point == "audit.apply" else "ready") == state(again, submission_id)
    look(again, submission_id)
    assert ("sent", 1, []) == (state(again, submission_id), len(lookups(again)), open_tasks(again))
    assert 1 == len(rows(again, t.evidence, t.evidence.c.kind == "lookup"))


def test_what_is_being_sent_is_not_looked_for(sqlite: House) -> None:
    """Whoever sends it knows more in a moment."""
    ws, portal, submission_id = ready(sqlite)
    with ws.db.writing("test") as tx:
        ledger.move(tx, submission_id, Happening.CLAIMED, at=ws.now(), why="a test")
    assert ("could_not_ask", 0) == (look(ws, submission_id).outcome, portal.asked)


@ON_BOTH
def test_what_shows_after_it_was_judged_absent_is_two_documents_and_a_question_at_once(house: House) -> None:
    """A search that lags longer than it said: both attempts are there, and the look an hour later finds them."""
    ws, portal = house.acme(repeat=Repeat.SAFE, lag=dt.timedelta(minutes=30))
    portal.repeat = Repeat.UNSAFE  # which it promised not to be
    portal.acts.append(raises(lost, arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    for _ in range(4):
        now_due(ws)
        house.clock.forward(seconds=40)
    assert ("sent", 2) == (state(ws, submission_id), len(portal.docs))
    assert [] == audit.due(ws, "acme")
    house.clock.forward(hours=1)
    assert [submission_id] == audit.due(ws, "acme")
    assert "differs" == look(ws, submission_id).outcome
    [task] = open_tasks(ws, submission_id)
    assert "2 times" in task.title


@ON_BOTH
def test_what_arrives_after_a_refusal_settled_the_doubt_is_looked_for(house: House) -> None:
    """Lost, then refused by a word, then committed after all: an hour, a day and a week later it is looked for."""
    ws, portal = house.acme()
    portal.acts.append(raises(lost))
    submission_id = receive(ws, invoice("A-1"))
    now_due(ws)
    hear(
        ws, event("e1", "refused", at=ws.now(), concerns=Concerns.INTAKE, payload_id=row(ws, submission_id).payload_id)
    )
    work(ws, house.clock)
    assert "refused" == state(ws, submission_id)
    for wait, outcome in ((dt.timedelta(hours=1), "agrees"), (DAY, "agrees"), (7 * DAY, "differs")):
        assert [] == audit.due(ws, "acme")
        house.clock.now = row(ws, submission_id).last_attempt_at + wait
        if outcome == "differs":
            there(portal)
        assert [submission_id] == audit.due(ws, "acme")
        assert outcome == look(ws, submission_id).outcome
    assert 1 == len(open_tasks(ws))
    house.clock.forward(days=90)
    assert [] == audit.due(ws, "acme")


def test_a_correction_is_not_sent_beside_what_arrived_late(sqlite: House) -> None:
    """The first was judged absent and replaced; when it shows before the second goes, a person is asked."""
    ws, portal = sqlite.acme(repeat=Repeat.SAFE)
    portal.acts.append(raises(lost))
    first = receive(ws, invoice("A-1"))
    now_due(ws)
    sqlite.clock.forward(seconds=31)
    now_due(ws)
    assert "ready" == state(ws, first)
    second = receive(ws, invoice("A-1", content="corrected"))
    there(portal)
    work(ws, sqlite.clock)
    assert ("superseded", "needs_human", 1) == (state(ws, first), state(ws, second), len(portal.sent))


@pytest.mark.parametrize(
    ("looked", "expected"),
    [
        (None, 1),
        (0.5, 1),
        (1, 24),
        (1.5, 24),
        (23.9, 24),
        (24, 168),
        (167, 168),
        (168, None),
        (2000, None),
    ],
)
def test_when_a_late_commit_is_looked_for_next(looked: float | None, expected: float | None) -> None:
    """An hour, a day and a week after the last attempt; a look that came late counts for all that were due."""
    start = Clock()()
    hours = lambda number: None if number is None else start + dt.timedelta(hours=number)  # noqa: E731
    assert hours(expected) == next_look(start, hours(looked))


def test_what_is_long_unheard_of_is_looked_for_once_a_day_and_what_is_accepted_once_a_week(sqlite: House) -> None:
    """A word of the portal counts as a look; a final stage ends it."""
    ws, portal, submission_id = sent(sqlite)
    due_at: list[float] = []

    def pass_days(days: int) -> list[int]:
        due_at.clear()
        for day in range(1, days + 1):
            sqlite.clock.forward(days=1)
            if audit.due(ws, "acme"):
                due_at.append(day)
                look(ws, submission_id)
        return [int(day) for day in due_at]

    assert [1, 2, 3] == pass_days(3)
    hear(ws, event("e1", "accepted", at=ws.now(), concerns=Concerns.INTAKE, portal_id="P-1"))
    assert [7, 14] == pass_days(15)
    hear(ws, event("e2", "paid", at=ws.now(), portal_id="P-1"))
    assert [] == pass_days(15)
    assert portal.asked == 1 + 3 + 2


def test_a_round_is_small_and_begins_with_what_was_never_looked_at(sqlite: House) -> None:
    """Then with what was looked at longest ago."""
    ws, _ = sqlite.acme()
    ids = [receive(ws, invoice(f"A-{number}")) for number in range(5)]
    work(ws, sqlite.clock)
    sqlite.clock.forward(days=1)
    for one in (ids[3], ids[1]):
        look(ws, one)
        sqlite.clock.forward(hours=1)
    sqlite.clock.forward(days=1)
    assert [ids[0], ids[2], ids[4], ids[3], ids[1]] == audit.due(ws, "acme")
    assert [ids[0], ids[2]] == audit.due(ws, "acme", limit=2)


def test_a_connection_that_is_left_alone_for_a_while_is_not_looked_at(sqlite: House) -> None:
    """Its breaker is open: looks would only lengthen its trouble."""
    ws, _, submission_id = sent(sqlite)
    sqlite.clock.forward(days=2)
    with ws.db.writing("test") as tx:
        tx.execute(t.connection.update().values(retry_at=sqlite.clock() + dt.timedelta(minutes=5)))
    assert [] == audit.due(ws, "acme")
    sqlite.clock.forward(minutes=6)
    assert [submission_id] == audit.due(ws, "acme")


def test_everything_that_can_be_asked_for(sqlite: House) -> None:
    """All but what is paid, and what was taken back before anything was tried."""
    ws, portal = sqlite.acme()
    paid, open_, gone = (receive(ws, invoice(number)) for number in ("A-1", "A-2", "A-3"))
    withdraw(ws, gone, by="ann", why="wrong")
    work(ws, sqlite.clock)
    hear(ws, event("e1", "paid", at=ws.now(), portal_id=portal.docs[0].portal_id))
    assert [open_] == audit.open_rows(ws)
    assert [] == audit.open_rows(ws, t.submission.c.account == "other")
    assert "accepted" == state(ws, paid)
    assert "withdrawn" in story(ws, gone)
