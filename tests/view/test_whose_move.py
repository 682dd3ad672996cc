from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa

from hub.contract.status import ReasonCode, Stage, Submission, WhoseMove
from hub.delivery.related import WAITS
from hub.delivery.tasks import TaskKind
from hub.view.whose_move import (
    ASKS_FOR_DATA,
    OUTCOMES,
    RULES,
    Asks,
    Facts,
    Outcome,
    Owner,
    judge,
    outcome_column,
    outcome_of,
    owner_column,
    owner_of,
    whose_move_column,
)

S, W = Submission, WhoseMove
PRODUCT = [
    Facts(*parts)
    for parts in itertools.product(
        S, (None, *Stage), (None, *Owner), (False, True), (None, *Asks), (False, True), (False, True)
    )
]


@pytest.mark.parametrize(
    ("facts", "who"),
    [
        (Facts(S.DRAFT), W.US_DATA),
        (Facts(S.HELD), W.US_DATA),
        (Facts(S.HELD, owner=Owner.ORIGINAL), W.NOBODY_UNTIL),
        (Facts(S.READY), W.NOBODY_UNTIL),
        (Facts(S.READY, paused=True), W.US_OPS),
        (Facts(S.READY, tried=True), W.NOBODY_UNTIL),
        (Facts(S.SENDING, paused=True), W.NOBODY_UNTIL),
        (Facts(S.IN_DOUBT), W.NOBODY_UNTIL),
        (Facts(S.NEEDS_HUMAN), W.US_OPS),
        (Facts(S.NEEDS_HUMAN, asks=Asks.WORK), W.US_OPS),
        (Facts(S.NEEDS_HUMAN, asks=Asks.DATA), W.US_DATA),
        (Facts(S.SENT), W.PORTAL),
        (Facts(S.REFUSED), W.US_DATA),
        (Facts(S.REFUSED, owner=Owner.SUPPLIER), W.US_DATA),
        (Facts(S.REFUSED, owner=Owner.PORTAL), W.US_OPS),
        (Facts(S.SUPERSEDED), W.NOBODY_UNTIL),
        (Facts(S.WITHDRAWN), W.NOBODY_UNTIL),
        (Facts(S.ACCEPTED), W.BUYER),
        (Facts(S.ACCEPTED, Stage.RECEIVED), W.BUYER),
        (Facts(S.ACCEPTED, Stage.IN_REVIEW), W.BUYER),
        (Facts(S.ACCEPTED, Stage.APPROVED), W.BUYER),
        (Facts(S.ACCEPTED, Stage.SCHEDULED), W.BUYER),
        (Facts(S.ACCEPTED, Stage.PARTLY_PAID), W.BUYER),
        (Facts(S.ACCEPTED, Stage.PAID), W.NOBODY_UNTIL),
        (Facts(S.ACCEPTED, Stage.UNKNOWN), W.US_OPS),
        (Facts(S.ACCEPTED, Stage.CANCELLED), W.US_DATA),
        (Facts(S.ACCEPTED, Stage.REJECTED), W.US_DATA),
        (Facts(S.ACCEPTED, Stage.REJECTED, Owner.BUYER), W.BUYER),
        (Facts(S.ACCEPTED, Stage.DISPUTED, Owner.SUPPLIER), W.US_DATA),
        (Facts(S.ACCEPTED, Stage.DISPUTED, Owner.BUYER), W.BUYER),
        (Facts(S.ACCEPTED, Stage.ON_HOLD), W.BUYER),
        (Facts(S.ACCEPTED, Stage.ON_HOLD, Owner.SUPPLIER), W.US_DATA),
        (Facts(S.ACCEPTED, Stage.ON_HOLD, Owner.PORTAL), W.US_OPS),
        (Facts(S.ACCEPTED, Stage.PAID, asks=Asks.WORK), W.US_OPS),
    ],
    ids=str,
)
def test_who_moves(facts: Facts, who: WhoseMove) -> None:
    """State, stage, the reason's owner, a pause and an open task say whose move it is."""
    assert who == judge(facts).who


def test_every_combination_has_one_answer_that_makes_sense() -> None:
    """Over the full product: a task is ours, what did not arrive is nobody else's, a stage counts once accepted."""
    for facts in PRODUCT:
        who = judge(facts).who
        if facts.asks:
            assert who == (W.US_DATA if facts.asks is Asks.DATA else W.US_OPS), facts
        if facts.state in {S.DRAFT, S.HELD, S.READY, S.SENDING, S.IN_DOUBT, S.NEEDS_HUMAN, S.REFUSED, S.WITHDRAWN}:
            assert who not in {W.BUYER, W.PORTAL}, facts
        if facts.state is not S.ACCEPTED:
            assert judge(facts) == judge(Facts(facts.state, None, *list(vars(facts).values())[2:])), facts


def test_the_fall_through_is_for_accepted_alone() -> None:
    """A state that nobody thought of would be shown as the buyer's move; there is none."""
    last = RULES[-1]
    assert {S.ACCEPTED} == {facts.state for facts in PRODUCT if judge(facts) is last}
    assert {None} == {facts.stage for facts in PRODUCT if judge(facts) is last}
    by_stage = [rule for rule in RULES if "stage" in rule.when]
    assert {S.ACCEPTED} == {facts.state for facts in PRODUCT if judge(facts) in by_stage}


def test_every_rule_answers_something_in_one_sentence() -> None:
    """No rule is hidden behind an earlier one, and each says what to do in one sentence."""
    answering = {id(judge(facts)) for facts in PRODUCT}
    assert [] == [rule for rule in RULES if id(rule) not in answering]
    assert [] == [rule.action for rule in RULES if not rule.action.endswith(".") or ". " in rule.action]


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (Facts(S.HELD), Outcome.HELD),
        (Facts(S.READY), None),
        (Facts(S.READY, tried=True), Outcome.FAILED),
        (Facts(S.REFUSED, Stage.REJECTED), Outcome.REFUSED),
        (Facts(S.IN_DOUBT), Outcome.UNKNOWN),
        (Facts(S.NEEDS_HUMAN), None),
        (Facts(S.NEEDS_HUMAN, may_have_arrived=True), Outcome.UNKNOWN),
        (Facts(S.ACCEPTED, Stage.UNKNOWN), Outcome.UNKNOWN),
        (Facts(S.ACCEPTED, Stage.REJECTED), Outcome.DISPUTED),
        (Facts(S.ACCEPTED, Stage.DISPUTED), Outcome.DISPUTED),
        (Facts(S.ACCEPTED, Stage.ON_HOLD), None),
        (Facts(S.SENT, Stage.DISPUTED), None),
    ],
    ids=str,
)
def test_outcomes(facts: Facts, outcome: Outcome | None) -> None:
    """Five kinds of trouble, which no two rules share."""
    assert outcome == outcome_of(facts)


def test_outcomes_exclude_each_other() -> None:
    """No combination is two kinds of trouble, whatever the order of the table."""
    for facts in PRODUCT:
        kinds = {
            outcome
            for outcome, when in OUTCOMES
            if all(getattr(facts, name) in allowed for name, allowed in when.items())
        }
        assert len(kinds) <= 1, facts


def test_sql_answers_as_python_does() -> None:
    """Over the full product, the tables in SQL say what the tables in Python say."""
    metadata = sa.MetaData()
    facts = sa.Table(
        "facts",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text) for name in ("state", "stage", "owner", "asks")),
        *(sa.Column(name, sa.Boolean) for name in ("paused", "tried", "may_have_arrived")),
    )
    engine = sa.create_engine("sqlite://")
    columns = {name: facts.c[name] for name in vars(PRODUCT[0])}
    with engine.begin() as tx:
        metadata.create_all(tx)
        tx.execute(facts.insert(), [vars(one) for one in PRODUCT])
        found = tx.execute(
            sa.select(whose_move_column(columns).label("who"), outcome_column(columns)).order_by(facts.c.id)
        ).all()
    assert [(judge(one).who, outcome_of(one)) for one in PRODUCT] == [tuple(row) for row in found]


def test_the_owner_of_a_reason() -> None:
    """The first word of a code says whose side it lies on, in Python and in SQL alike."""
    codes = [None, WAITS, "po_required", *ReasonCode]
    expected = [None, Owner.ORIGINAL, Owner.OTHER]
    for code in ReasonCode:
        word = code.split("_")[0]
        expected.append(Owner(word))
    assert expected == [owner_of(code) for code in codes]
    engine = sa.create_engine("sqlite://")
    with engine.connect() as tx:
        found = [tx.execute(sa.select(owner_column(sa.literal(code, sa.Text)))).scalar() for code in codes]
    assert expected == found


def test_which_tasks_ask_for_data() -> None:
    """A decision about the invoice is for accounts receivable; a chore at the portal for whoever runs the hub."""
    assert {TaskKind.DECIDE} == ASKS_FOR_DATA
    assert {TaskKind.KEY_IN, TaskKind.LOOK, TaskKind.DO} == set(TaskKind) - ASKS_FOR_DATA
