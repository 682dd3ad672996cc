from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contract.connector import Found, FoundState, InvoiceKey, Refs, Repeat
from hub.contract.errors import Reason
from hub.contract.invoice import Kind, Money
from hub.delivery.judge import MAX_RESENDS, Candidate, Judgement, Known, Refusal, Whose, judge, whose
from hub.delivery.lifecycle import Happening

TOTAL = Money(Decimal("121.00"), "EUR")
OTHER = Money(Decimal("121.01"), "EUR")
KEY = InvoiceKey(
    entity="us",
    customer="acme",
    kind=Kind.INVOICE,
    number="a-1",
    shown_number="A-1",
    issue_date=dt.date(2031, 3, 1),
    total=TOTAL,
    portal_customer="C-1",
    payload_id="pay-1",
    portal_id="P-1",
)
KNOWN = Known(
    kind=Kind.INVOICE,
    repeat=Repeat.UNSAFE,
    leaves=FoundState.SUBMITTED,
    drafted=False,
    may_have_arrived=1,
    resends=0,
    could_ask=True,
    said_duplicate=False,
    looked_since_duplicate=False,
)
REFUSED = Reason("the tax is wrong")


def known(**facts: Any) -> Known:
    return replace(KNOWN, **facts)


def there(
    state: FoundState = FoundState.SUBMITTED, whose: Whose = Whose.OURS_BY_CONTENT, *, total: Money | None = TOTAL
) -> Candidate:
    reasons = (REFUSED,) if state is FoundState.REFUSED else ()
    return Candidate(Found(Refs(), "A-1", "C-1", total, state, b"", reasons), whose)


def found(number: str = "A-1", customer: str | None = "C-1", total: Money | None = TOTAL, **refs: str) -> Found:
    return Found(Refs(**refs), number, customer, total, FoundState.SUBMITTED, b"")


@pytest.mark.parametrize(
    ("one", "bound_elsewhere", "expected"),
    [
        (found("X-9", "C-9", OTHER, payload_id="pay-1"), True, Whose.OURS_BY_ID),
        (found("X-9", "C-9", None, portal_id="P-1"), False, Whose.OURS_BY_ID),
        (found(payload_id="pay-2", portal_id="P-2"), True, Whose.ANOTHERS),
        (found(), False, Whose.OURS_BY_CONTENT),
        (found(" a-1 "), False, Whose.OURS_BY_CONTENT),
        (found(payload_id="pay-2", portal_id="P-2"), False, Whose.OURS_BY_CONTENT),
        (found(total=Money(Decimal(121), "EUR")), False, Whose.OURS_BY_CONTENT),
        (found(total=OTHER), False, Whose.UNCLEAR),
        (found(total=Money(Decimal("121.00"), "USD")), False, Whose.UNCLEAR),
        (found(total=None), False, Whose.UNCLEAR),
        (found(customer="C-2"), False, Whose.UNCLEAR),
        (found(customer=None), False, Whose.UNCLEAR),
        (found("A-10"), False, None),
        (found("A-1-R"), False, None),
    ],
)
def test_a_match_must_be_ours(one: Found, bound_elsewhere: bool, expected: Whose | None) -> None:  # noqa: FBT001
    """By an id first; else by number, customer and total together, and not another revision's."""
    assert expected is whose(one, KEY, bound_elsewhere=bound_elsewhere)


def test_an_id_that_neither_side_has_is_no_match() -> None:
    """Two missing ids are not the same id."""
    key = replace(KEY, payload_id=None, portal_id=None)
    assert Whose.UNCLEAR is whose(found(total=OTHER), key, bound_elsewhere=False)


def verdict(candidates: list[Candidate], **facts: Any) -> tuple[Happening | None, bool]:
    judgement = judge(candidates, known(**facts))
    return judgement.happening, judgement.resend


GO = (Happening.ABSENT, False)
AGAIN = (Happening.ABSENT, True)
PERSON = (Happening.STUCK, False)
LOOK_ONCE_MORE = (None, False)
FOUND = (Happening.FOUND, False)
REFUSE = (Happening.REFUSED, False)
NEXT_STEP = (Happening.HALFWAY, False)


def test_a_live_match_is_adopted() -> None:
    """Exactly one live document of ours: it is there, whatever else bears the number."""
    for mine in (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT):
        assert FOUND == verdict([there(whose=mine)])
        assert FOUND == verdict([there(whose=mine), there(whose=Whose.UNCLEAR), there(whose=Whose.ANOTHERS)])
        assert FOUND == verdict([there(whose=mine), there(FoundState.REFUSED), there(FoundState.VOID)])
        assert FOUND == verdict([there(whose=mine)], said_duplicate=True)
        assert FOUND == verdict([there(whose=mine)], may_have_arrived=0)


def test_more_than_one_of_ours_is_a_persons() -> None:
    """Two live documents that are both ours, in whatever live state."""
    for state in (FoundState.SUBMITTED, FoundState.DRAFT):
        assert PERSON == verdict([there(), there(state, Whose.OURS_BY_ID)])


def test_a_live_document_that_is_not_surely_ours_is_a_persons() -> None:
    """One with another total or without one is neither a match nor an absence, before the first attempt too."""
    for total in (OTHER, None):
        for arrived in (0, 1):
            unclear = there(whose=Whose.UNCLEAR, total=total)
            assert PERSON == verdict([unclear], may_have_arrived=arrived, repeat=Repeat.SAFE)


def test_what_another_revision_left_there_is_no_obstacle() -> None:
    """A document that is bound to another revision counts as absent."""
    assert AGAIN == verdict([there(whose=Whose.ANOTHERS)], repeat=Repeat.SAFE)


def test_a_refused_document_of_ours_settles_it_as_refused() -> None:
    """With the portal's reasons, and with words of our own where it gives none."""
    for mine in (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT):
        judgement = judge([there(FoundState.REFUSED, mine)], KNOWN)
        assert (Happening.REFUSED, REFUSED) == (judgement.happening, judgement.reason)
    silent = Candidate(replace(there(FoundState.REFUSED).found, reasons=()), Whose.OURS_BY_ID)
    reason = judge([silent], KNOWN).reason
    assert reason is not None
    assert "gives no reason" in reason.text
    for others in (Whose.ANOTHERS, Whose.UNCLEAR):
        assert AGAIN == verdict([there(FoundState.REFUSED, others)], repeat=Repeat.REFUSES)


def test_a_cancelled_document_of_ours_is_a_persons() -> None:
    """Somebody took it back at the portal; sending it once more would bring it back to life."""
    for mine in (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT):
        assert PERSON == verdict([there(FoundState.VOID, mine)], repeat=Repeat.SAFE)
    assert GO == verdict([there(FoundState.VOID)], may_have_arrived=0)


def test_absence_sends_again_only_where_the_portal_knows_or_refuses_a_repeat() -> None:
    """Safe and refuses go again, unsafe is a person's; a portal that cannot be asked follows the same rule."""
    for could_ask in (True, False):
        assert AGAIN == verdict([], repeat=Repeat.SAFE, could_ask=could_ask)
        assert AGAIN == verdict([], repeat=Repeat.REFUSES, could_ask=could_ask)
        assert PERSON == verdict([], repeat=Repeat.UNSAFE, could_ask=could_ask)
        for repeat in Repeat:
            assert GO == verdict([], repeat=repeat, may_have_arrived=0, could_ask=could_ask)


def test_after_three_resends_a_person_looks() -> None:
    """The first send and at most three more."""
    assert MAX_RESENDS == 3
    for resends in range(MAX_RESENDS):
        assert AGAIN == verdict([], repeat=Repeat.SAFE, resends=resends)
    assert PERSON == verdict([], repeat=Repeat.SAFE, resends=MAX_RESENDS)


def test_after_a_duplicate_absence_is_never_absence() -> None:
    """Looked for once more after settling, then a person; at once a person where the portal cannot be asked."""
    for repeat in Repeat:
        for arrived in (0, 1, 2):
            facts = {"said_duplicate": True, "repeat": repeat, "may_have_arrived": arrived}
            assert LOOK_ONCE_MORE == verdict([], **facts)
            assert PERSON == verdict([], looked_since_duplicate=True, **facts)
            assert PERSON == verdict([], could_ask=False, **facts)


def test_the_portals_own_word_that_it_is_there_is_never_an_absence() -> None:
    """Where the portal cannot be asked it settles the doubt; against an empty lookup it is a person's."""
    for repeat in Repeat:
        facts = {"said_there": "'paid'", "repeat": repeat}
        assert FOUND == verdict([], could_ask=False, **facts)
        assert FOUND == verdict([], could_ask=False, said_duplicate=True, **facts)
        assert PERSON == verdict([], could_ask=True, **facts)


def test_a_refusal_with_nothing_there_is_a_refusal() -> None:
    """Unless another attempt may be there unseen, or the portal also said that it has it."""
    for repeat in Repeat:
        one, of_two = Refusal(REFUSED, may_be_another=False), Refusal(REFUSED, may_be_another=True)
        assert REFUSE == verdict([], repeat=repeat, refusal=of_two)
        assert REFUSE == verdict([], repeat=repeat, refusal=one, could_ask=False)
        assert PERSON == verdict([], repeat=repeat, refusal=of_two, could_ask=False)
        assert PERSON == verdict([], repeat=repeat, refusal=one, could_ask=False, said_there="'paid'")
        assert FOUND == verdict([there()], repeat=repeat, refusal=of_two)
    assert REFUSED == judge([], known(refusal=Refusal(REFUSED, may_be_another=True))).reason


def test_a_draft_settles_the_step_that_made_it() -> None:
    """The next step may go; a later step is not settled by a draft that stood there before."""
    draft = there(FoundState.DRAFT)
    assert NEXT_STEP == verdict([draft], leaves=FoundState.DRAFT)
    for leaves in (FoundState.DRAFT, FoundState.SUBMITTED):
        assert AGAIN == verdict([draft], leaves=leaves, drafted=True, repeat=Repeat.SAFE)
        assert PERSON == verdict([draft], leaves=leaves, drafted=True, repeat=Repeat.UNSAFE)
        assert GO == verdict([draft], leaves=leaves, drafted=True, may_have_arrived=0)
        assert FOUND == verdict([there()], leaves=leaves, drafted=True)


def test_a_draft_that_no_step_of_ours_made_is_a_persons() -> None:
    """Somebody keyed it in, or a portal of one step kept it without submitting it."""
    draft = there(FoundState.DRAFT)
    assert PERSON == verdict([draft], repeat=Repeat.SAFE)
    for leaves in (FoundState.DRAFT, FoundState.SUBMITTED):
        assert PERSON == verdict([draft], leaves=leaves, may_have_arrived=0, repeat=Repeat.SAFE)


def test_a_cancellation_is_settled_by_its_originals_state() -> None:
    """Void: done. Still submitted: not done. Not there at all: a person's."""
    facts = {"kind": Kind.CANCELLATION, "repeat": Repeat.SAFE}
    void = there(FoundState.VOID)
    judgement = judge([there(), void], known(**facts))
    assert (Happening.FOUND, void.found) == (judgement.happening, judgement.found)
    assert AGAIN == verdict([there()], **facts)
    assert PERSON == verdict([there()], **facts | {"repeat": Repeat.UNSAFE})
    assert PERSON == verdict([], **facts)
    assert PERSON == verdict([there(FoundState.REFUSED)], **facts)


CANDIDATES = st.lists(
    st.builds(there, st.sampled_from(FoundState), st.sampled_from(Whose), total=st.sampled_from((TOTAL, OTHER, None))),
    max_size=4,
)
REFUSALS = st.none() | st.builds(Refusal, st.just(REFUSED), st.booleans())
KNOWLEDGE = st.builds(
    Known,
    kind=st.sampled_from(Kind),
    repeat=st.sampled_from(Repeat),
    leaves=st.sampled_from((FoundState.DRAFT, FoundState.SUBMITTED)),
    drafted=st.booleans(),
    may_have_arrived=st.integers(0, 4),
    resends=st.integers(0, 5),
    could_ask=st.booleans(),
    said_duplicate=st.booleans(),
    looked_since_duplicate=st.booleans(),
    said_there=st.sampled_from(("", "'paid'")),
    refusal=REFUSALS,
)
OURS = (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT)
LIVE = (FoundState.DRAFT, FoundState.SUBMITTED)


@settings(max_examples=800, deadline=None)
@given(CANDIDATES, KNOWLEDGE)
def test_whatever_is_known_and_found_nothing_goes_twice_and_nothing_is_taken_for_ours(
    candidates: list[Candidate], facts: Known
) -> None:
    """The promises of reconciling, for every combination of what a portal shows and what we know."""
    judgement: Judgement = judge(candidates, facts)
    is_cancellation = facts.kind is Kind.CANCELLATION
    live = [c for c in candidates if c.found.state in LIVE]
    mine = [c.found for c in candidates if c.whose in OURS]
    live_mine = [c for c in live if c.whose in OURS]

    if judgement.happening is Happening.ABSENT and facts.may_have_arrived:
        assert judgement.resend
        assert facts.repeat is not Repeat.UNSAFE
        assert facts.resends < MAX_RESENDS
    if judgement.happening is Happening.ABSENT:
        assert not facts.said_duplicate
        assert not facts.said_there
        assert facts.refusal is None
    if judgement.happening is Happening.ABSENT and not is_cancellation:
        assert not any(c.whose is Whose.UNCLEAR for c in live)
        assert not any(c.found.state is FoundState.SUBMITTED for c in live_mine)
        assert facts.drafted or not live_mine
    if judgement.happening in {Happening.FOUND, Happening.HALFWAY}:
        assert judgement.found in mine if judgement.found else (facts.said_there and not facts.could_ask)
    if judgement.happening is Happening.REFUSED and judgement.found is not None:
        assert judgement.found in mine
        assert judgement.found.state is FoundState.REFUSED
    if judgement.happening is None:
        assert facts.said_duplicate
        assert not facts.looked_since_duplicate
    if len(live_mine) > 1 and not is_cancellation:
        assert judgement.happening is Happening.STUCK
    assert judgement.why
