"""What the portal's documents mean for a submission that is in no doubt: the table, row by row."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from hub.contract.connector import Found, FoundState, Refs
from hub.contract.errors import Reason
from hub.contract.invoice import Money
from hub.contract.status import Stage, Submission
from hub.delivery.candidates import Left
from hub.delivery.compare import DIFFERENCES, MISSING_TASK, Compared, Held, Outcome, compare
from hub.delivery.judge import Candidate, Whose
from hub.delivery.lifecycle import Happening, move

S = Submission
LIVE = FoundState.SUBMITTED
OURS, UNCLEAR, ANOTHERS = Whose.OURS_BY_ID, Whose.UNCLEAR, Whose.ANOTHERS
TOTAL = Money(Decimal("121.00"), "EUR")


def doc(
    whose: Whose = OURS,
    state: FoundState = LIVE,
    total: str | None = "121.00",
    *,
    customer: str | None = "C",
    key: str | None = "P-1",
) -> Candidate:
    """A document that the portal shows."""
    money = None if total is None else Money(Decimal(total), "EUR")
    reasons = (Reason("no order"),) if state is FoundState.REFUSED else ()
    return Candidate(Found(Refs(portal_id=key), "A-1", customer, money, state, b"", reasons), whose)


def held(state: Submission, **facts: object) -> Held:
    return replace(Held(state, TOTAL, "C"), **facts)  # type: ignore[arg-type]


def left(*, refused: bool = False, sure: bool = True, total: Money = TOTAL) -> Left:
    return Left(7, total, refused, sure)


@pytest.mark.parametrize("state", [S.SENT, S.ACCEPTED])
@pytest.mark.parametrize(
    ("shown", "others", "outcome", "asks"),
    [
        ([doc()], [], "agrees", ""),
        ([doc(total=None)], [], "agrees", ""),
        ([doc(UNCLEAR, total=None)], [], "agrees", ""),  # some portals tell no amount
        ([doc(UNCLEAR, total=None, customer=None)], [], "agrees", ""),
        ([doc(total="99.00")], [], "differs", "lookup:amount"),
        ([doc(UNCLEAR, total="99.00")], [], "differs", "lookup:amount"),
        ([doc(UNCLEAR, total="99.00", customer="D")], [], "missing", "?"),
        ([doc(ANOTHERS)], [], "missing", "?"),
        ([doc(), doc(ANOTHERS)], [], "agrees", ""),
        ([doc(), doc(Whose.OURS_BY_CONTENT, key="P-2")], [], "differs", "lookup:twice"),
        ([doc(key=None), doc(key=None)], [], "differs", "lookup:twice"),
        ([doc(), doc(UNCLEAR, total="99.00", key="P-2")], [], "differs", "lookup:twice"),
        ([doc(), doc(UNCLEAR, total="99.00", customer="D")], [], "agrees", ""),
        ([doc(), doc(Whose.OURS_BY_CONTENT, key="P-2")], [left()], "agrees", ""),
        ([doc(), doc(Whose.OURS_BY_CONTENT, key="P-2")], [left(sure=False)], "differs", "lookup:twice"),
        ([doc(), doc(Whose.OURS_BY_CONTENT, key="P-2")], [left(refused=True)], "differs", "lookup:twice"),
        ([doc(Whose.OURS_BY_CONTENT, key=None)], [left()], "missing", "?"),  # it is the other's, as far as we know
        ([doc(Whose.OURS_BY_CONTENT, key=None)], [left(sure=False)], "agrees", ""),
        ([doc(Whose.OURS_BY_CONTENT, key=None)], [left(refused=True)], "agrees", ""),
        ([doc(), doc(state=FoundState.REFUSED)], [], "agrees", ""),
        ([doc(state=FoundState.REFUSED)], [], "differs", "lookup:refused"),
        ([doc(state=FoundState.REFUSED)], [left(refused=True)], "missing", "?"),
        ([doc(state=FoundState.VOID)], [], "differs", "lookup:cancelled"),
        ([doc(state=FoundState.DRAFT)], [], "differs", "lookup:draft"),
        ([], [], "missing", "?"),
    ],
)
def test_what_is_known_to_be_there(
    state: Submission, shown: list[Candidate], others: list[Left], outcome: str, asks: str
) -> None:
    """Exactly one living document over our amount agrees; who else reached the portal is given his own first."""
    compared = compare(held(state, known_there=True), shown, others)
    missing = ("", Happening.STUCK) if state is S.SENT else (MISSING_TASK, None)
    assert (outcome, *(missing if asks == "?" else (asks, None))) == (
        compared.outcome,
        compared.asks,
        compared.happening,
    )


@pytest.mark.parametrize(("stage", "there"), [(Stage.CANCELLED, FoundState.VOID), (Stage.REJECTED, FoundState.REFUSED)])
def test_an_end_that_is_known_agrees(stage: Stage, there: FoundState) -> None:
    """The buyer cancelled or rejected it, and so the portal shows it."""
    assert "agrees" == compare(held(S.ACCEPTED, known_there=True, stage=stage), [doc(state=there)], []).outcome


@pytest.mark.parametrize(("facts", "outcome"), [({"exact": False}, "no_lookup"), ({"settled": False}, "could_not_ask")])
def test_an_absence_that_proves_nothing_moves_nothing(facts: dict[str, object], outcome: str) -> None:
    """In a list, and before the search has settled."""
    for state in (S.SENT, S.ACCEPTED, S.NEEDS_HUMAN):
        compared = compare(held(state, known_there=True, **facts), [], [])
        assert (outcome, None, "") == (compared.outcome, compared.happening, compared.asks)


@pytest.mark.parametrize("state", [S.DRAFT, S.HELD, S.READY, S.NEEDS_HUMAN])
@pytest.mark.parametrize(
    ("shown", "facts", "outcome"),
    [
        ([], {}, "agrees"),
        ([doc()], {}, "adopted"),
        ([doc(Whose.OURS_BY_CONTENT)], {}, "adopted"),
        ([doc(), doc(state=FoundState.REFUSED)], {}, "adopted"),
        ([doc(), doc(key="P-2")], {}, "differs"),
        ([doc(), doc(UNCLEAR, total="99.00")], {}, "differs"),
        ([doc(UNCLEAR, total="99.00")], {}, "unknown"),
        ([doc(UNCLEAR, FoundState.DRAFT, total=None)], {}, "unknown"),
        ([doc(ANOTHERS)], {}, "agrees"),
        ([doc(state=FoundState.DRAFT)], {}, "differs"),
        ([doc(state=FoundState.DRAFT)], {"drafted": True}, "agrees"),
        ([doc(state=FoundState.REFUSED)], {}, "agrees"),
        ([doc(state=FoundState.VOID)], {}, "differs"),
        ([doc(Whose.OURS_BY_CONTENT, FoundState.VOID)], {}, "agrees"),
        ([doc(Whose.OURS_BY_CONTENT, FoundState.VOID)], {"may_be_there": True}, "differs"),
    ],
)
def test_what_is_not_known_to_be_there(
    state: Submission, shown: list[Candidate], facts: dict[str, object], outcome: str
) -> None:
    """What surely is ours and there once is adopted; what is not sure stops what is ready, and else is a question."""
    compared = compare(held(state, **facts), shown, [])
    assert outcome == compared.outcome
    if outcome == "adopted":
        assert (Happening.FOUND, "P-1") == (compared.happening, compared.found and compared.found.refs.portal_id)
    elif outcome == "agrees" or state is S.NEEDS_HUMAN:
        assert (None, "") == (compared.happening, compared.asks)
    elif state is S.READY:
        assert (Happening.STUCK, "") == (compared.happening, compared.asks)
    else:
        assert (None, True) == (compared.happening, compared.asks.startswith("lookup:"))


@pytest.mark.parametrize(("missed", "outcome"), [(True, "adopted"), (False, "agrees")])
def test_a_look_answers_only_the_question_that_a_look_asked(missed: bool, outcome: str) -> None:  # noqa: FBT001
    """Not, say, why the portal has not said for days whether it takes it in."""
    assert outcome == compare(held(S.NEEDS_HUMAN, known_there=True, missed=missed), [doc()], []).outcome


@pytest.mark.parametrize("state", [S.REFUSED, S.WITHDRAWN, S.SUPERSEDED])
@pytest.mark.parametrize(
    ("shown", "others", "outcome"),
    [
        ([], [], "agrees"),
        ([doc()], [], "differs"),
        ([doc(Whose.OURS_BY_CONTENT)], [left()], "agrees"),
        ([doc(Whose.OURS_BY_CONTENT)], [left(sure=False)], "differs"),
        ([doc(Whose.OURS_BY_CONTENT)], [left(refused=True)], "differs"),
        ([doc(key="P-1"), doc(key="P-2")], [left()], "differs"),
        ([doc(ANOTHERS)], [], "agrees"),
        ([doc(state=FoundState.REFUSED)], [], "agrees"),
        ([doc(state=FoundState.DRAFT)], [], "agrees"),
        ([doc(UNCLEAR, total="99.00")], [left(total=Money(Decimal("99.00"), "EUR"))], "agrees"),
        ([doc(UNCLEAR, total="99.00")], [], "unknown"),
    ],
)
def test_what_came_to_an_end_here(state: Submission, shown: list[Candidate], others: list[Left], outcome: str) -> None:
    """Nothing living of it may be there that no other revision accounts for; a newer one answers for strangers."""
    compared = compare(held(state), shown, others)
    expected = "agrees" if (outcome, state) == ("unknown", S.SUPERSEDED) else outcome
    assert (expected, None) == (compared.outcome, compared.happening)
    assert bool(compared.asks) == (expected in {"differs", "unknown"})


def test_what_a_correction_replaced_at_the_portal_may_stand_there() -> None:
    """It was taken in, and another revision took its place."""
    assert "agrees" == compare(held(S.SUPERSEDED, known_there=True), [doc()], []).outcome


def test_every_move_is_lawful_and_every_difference_asks_or_is_asked_about() -> None:
    """Over the full product of states, documents and facts."""
    documents = [
        [doc(whose, state, total)] for whose, state, total in product(Whose, FoundState, ("121.00", "99.00", None))
    ]
    shown = [[], *documents, *([*one, doc(key="P-2")] for one in documents)]
    states = set(S) - {S.SENDING, S.IN_DOUBT}
    for state, there, others in product(states, shown, ([], [left()], [left(refused=True)])):
        for known_there, exact in product((False, True), (False, True)):
            compared: Compared = compare(held(state, known_there=known_there, exact=exact), there, others)
            if compared.happening is not None:
                move(state, compared.happening)
            asked = bool(compared.asks) or compared.happening is Happening.STUCK
            assert asked == (compared.outcome in DIFFERENCES and state is not S.NEEDS_HUMAN), (state, there, compared)
            assert (compared.happening is Happening.FOUND) == (compared.outcome is Outcome.ADOPTED)
