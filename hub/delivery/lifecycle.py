"""The two state machines, as tables. Pure: nothing here reads a clock, a database or a portal.

    draft ─► held ◄─► ready ─► sending ─► sent ─► accepted ─► (the buyer's stage)
               │        │         │  ▲      │         │
               │        │         ▼  │      ▼         ▼
               │        └──── in_doubt ─► refused ◄───┘        superseded, withdrawn: ends
               └───────────────► needs_human ◄──── from everywhere that only a person can judge

*Submission* is ours and moves only by `move`; *stage* is the buyer's and moves only by `stage_after`. What a portal
says meets a submission in `hear`. A word that is not known moves neither.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from hub.contract.status import Concerns, Intake, Stage, Submission

S = Submission


class Happening(StrEnum):
    """What can happen to a submission."""

    HELD = "held"  # the rules or a missing fact stop it
    CLEARED = "cleared"  # the rules let it pass and its steps are stored
    CLAIMED = "claimed"  # a worker took it under a lease
    RETURNED = "returned"  # certainly not delivered; it may go again
    DELIVERED = "delivered"  # the portal took every step
    DOUBTED = "doubted"  # it may have arrived
    FOUND = "found"  # it is there: by lookup, adoption or a person's word
    ABSENT = "absent"  # it is not there, and may go again
    HALFWAY = "halfway"  # the step in doubt is there, and the next may go
    REFUSED = "refused"  # the portal will not take it
    ACCEPTED = "accepted"  # the portal took it in, or the buyer already acts on it
    STUCK = "stuck"  # only a person can go on
    NOT_THERE = "not_there"  # a person looked, and it is not there
    SUPERSEDED = "superseded"  # a newer revision goes instead
    WITHDRAWN = "withdrawn"  # taken back


# What each happening may be met in, and where it leads (architecture, "Submission, the whole table").
_MOVES: dict[Happening, tuple[frozenset[Submission], Submission]] = {
    happening: (frozenset(before), after)
    for happening, before, after in (
        (Happening.HELD, (S.DRAFT, S.READY), S.HELD),
        (Happening.CLEARED, (S.DRAFT, S.HELD), S.READY),
        (Happening.CLAIMED, (S.READY,), S.SENDING),
        (Happening.RETURNED, (S.SENDING,), S.READY),
        (Happening.DELIVERED, (S.SENDING,), S.SENT),
        (Happening.DOUBTED, (S.SENDING, S.SENT), S.IN_DOUBT),
        (Happening.FOUND, (S.DRAFT, S.HELD, S.READY, S.SENDING, S.IN_DOUBT, S.NEEDS_HUMAN), S.SENT),
        (Happening.ABSENT, (S.IN_DOUBT,), S.READY),
        (Happening.HALFWAY, (S.IN_DOUBT,), S.READY),
        (Happening.REFUSED, (S.SENDING, S.IN_DOUBT, S.NEEDS_HUMAN, S.SENT, S.ACCEPTED), S.REFUSED),
        (Happening.ACCEPTED, (S.SENT,), S.ACCEPTED),
        (Happening.STUCK, (S.HELD, S.READY, S.SENDING, S.IN_DOUBT, S.SENT, S.ACCEPTED, S.REFUSED), S.NEEDS_HUMAN),
        (Happening.NOT_THERE, (S.NEEDS_HUMAN,), S.READY),
        (Happening.SUPERSEDED, (S.DRAFT, S.HELD, S.READY, S.ACCEPTED, S.REFUSED), S.SUPERSEDED),
        (Happening.WITHDRAWN, (S.DRAFT, S.HELD, S.READY, S.NEEDS_HUMAN, S.REFUSED), S.WITHDRAWN),
    )
}


class IllegalMoveError(Exception):
    """This cannot happen to a submission in this state; nothing was changed."""


def move(state: Submission, happening: Happening) -> Submission:
    """The state after `happening`; raises IllegalMoveError where the table has no such move."""
    before, after = _MOVES[happening]
    if state not in before:
        raise IllegalMoveError(f"a submission that is {state} cannot be {happening}")
    return after


@dataclass(frozen=True)
class Hearing:
    """What a portal's word means for a submission in its state."""

    happenings: tuple[Happening, ...] = ()
    stage: bool = False  # the word may move the stage
    wait: bool = False  # the word is kept until the portal (in doubt) or a person (needs_human) has said what is true
    contradicts: bool = False  # a person must look: the word says the opposite of what we know


_NOTHING = Hearing()
_WAIT = Hearing(wait=True)
_CONTRADICTS = Hearing(contradicts=True)
_STUCK = Hearing((Happening.STUCK,))
_UNSETTLED = (S.SENDING, S.IN_DOUBT)
_ENDED = (S.REFUSED, S.WITHDRAWN, S.SUPERSEDED)
_BACK = (Happening.FOUND, Happening.ACCEPTED)

# READY stands here for what may go once more after an attempt that may have arrived.
_ON_ACCEPTED = {
    **dict.fromkeys(_UNSETTLED, _WAIT),
    S.READY: Hearing(_BACK),
    S.SENT: Hearing((Happening.ACCEPTED,)),
    S.NEEDS_HUMAN: Hearing(_BACK),
    **dict.fromkeys(_ENDED, _CONTRADICTS),
}
_ON_REFUSED = {
    **dict.fromkeys(_UNSETTLED, _WAIT),
    S.READY: Hearing((Happening.STUCK, Happening.REFUSED)),
    S.SENT: Hearing((Happening.REFUSED,)),
    S.ACCEPTED: Hearing((Happening.REFUSED,)),
    S.NEEDS_HUMAN: Hearing((Happening.REFUSED,)),
}
# The same where another attempt may have arrived as well: the refusal may speak of the second of two.
_ON_REFUSED_ONE_OF_TWO = _ON_REFUSED | {
    S.READY: _STUCK,
    S.SENT: Hearing((Happening.DOUBTED,)),
    S.ACCEPTED: _CONTRADICTS,
    S.NEEDS_HUMAN: _CONTRADICTS,
}
_ON_DUPLICATE = {
    **dict.fromkeys(_UNSETTLED, _WAIT),
    S.READY: _STUCK,
    S.SENT: Hearing((Happening.DOUBTED,)),
}
_ON_STAGE = _ON_ACCEPTED | {
    S.READY: Hearing(_BACK, stage=True),
    S.SENT: Hearing((Happening.ACCEPTED,), stage=True),
    S.ACCEPTED: Hearing(stage=True),
    S.NEEDS_HUMAN: Hearing(_BACK, stage=True),
}


def hear(
    state: Submission, concerns: Concerns, word: str, *, was_sent: bool, may_be_there: bool, may_be_another: bool
) -> Hearing:
    """What `word` means for a submission in `state`.

    `was_sent`: it was once known to be delivered; else a person who is asked about it is not overruled by a word.
    `may_be_there`: an attempt of it may have arrived. `may_be_another`: more than one may have.
    """
    on_refused = _ON_REFUSED_ONE_OF_TWO if may_be_another else _ON_REFUSED
    tables: dict[str, dict[Submission, Hearing]] = (
        dict.fromkeys(set(Stage) - {Stage.UNKNOWN}, _ON_STAGE)
        if concerns is Concerns.STAGE
        else {Intake.ACCEPTED: _ON_ACCEPTED, Intake.REFUSED: on_refused, Intake.DUPLICATE: _ON_DUPLICATE}
    )
    heard = tables.get(word, {}).get(state, _NOTHING)
    if state is S.READY and not may_be_there:
        return _NOTHING
    if state is S.NEEDS_HUMAN and heard is not _NOTHING and not was_sent:
        return _WAIT
    return heard


# A payment that is taken back is the buyer's to explain, but a rejection after it is ours to ask about.
_ASK_A_PERSON = {(Stage.PAID, Stage.REJECTED), (Stage.PAID, Stage.CANCELLED), (Stage.SCHEDULED, Stage.CANCELLED)}


@dataclass(frozen=True)
class StageMove:
    """The stage after an event, until when it is known, and whether a person should look at the change."""

    stage: Stage | None
    moved: bool
    known_until: dt.datetime | None
    counts: bool  # whether the word speaks of the present stage: it moved there, or it was there already
    person: bool = False


def stage_after(
    stage: Stage | None, word: str, *, happened_at: dt.datetime | None, known_until: dt.datetime | None
) -> StageMove:
    """The stage after the buyer's `word`; an unknown word, a repeat and an older known event move nothing.

    `known_until` is the latest time at which a known event behind the present stage happened, as far as the portal
    says; an event without a time moves the stage and leaves it.
    """
    older = happened_at is not None and known_until is not None and happened_at < known_until
    if word not in set(Stage) - {Stage.UNKNOWN} or older:
        return StageMove(stage, moved=False, known_until=known_until, counts=False)
    until = happened_at or known_until
    after = Stage(word)
    moved, person = after != stage, (stage, after) in _ASK_A_PERSON
    return StageMove(after, moved=moved, known_until=until, counts=True, person=person)
