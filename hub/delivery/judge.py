"""What a portal's documents mean for a submission in doubt. Pure.

A match must be ours: by id first, else by number, customer and total, and not another revision's. Doubt never ages into
a verdict; an absence counts only after the portal's search has settled, and a second send follows only where the
portal knows or refuses a repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub.contract.connector import Found, FoundState, InvoiceKey, Repeat
from hub.contract.errors import Reason
from hub.contract.invoice import Kind, number_key
from hub.delivery.lifecycle import Happening

MAX_RESENDS = 3  # after so many sends that left no trace a person looks


class Whose(StrEnum):
    """Whose a document at the portal is."""

    OURS_BY_ID = "ours by id"
    OURS_BY_CONTENT = "ours by number, customer and total"
    ANOTHERS = "bound to another revision"
    UNCLEAR = "the same number, but not surely ours"


@dataclass(frozen=True)
class Candidate:
    """A document that the portal shows under our number."""

    found: Found
    whose: Whose


@dataclass(frozen=True)
class Known:
    """What we know of a submission in doubt."""

    kind: Kind
    repeat: Repeat
    leaves: FoundState
    may_have_arrived: int  # attempts that are not certainly undelivered
    resends: int
    said_duplicate: bool
    looked_since_duplicate: bool  # one settled look after the duplicate found nothing already


@dataclass(frozen=True)
class Judgement:
    """What follows: a happening, or (None) another look after settling."""

    happening: Happening | None
    why: str
    found: Found | None = None
    reason: Reason | None = None
    resend: bool = False  # it goes once more although it may have arrived before


def whose(found: Found, key: InvoiceKey, *, bound_elsewhere: bool) -> Whose | None:
    """Whose `found` is; None if it does not even bear our number."""
    ids = ((found.refs.payload_id, key.payload_id), (found.refs.portal_id, key.portal_id))
    if any(theirs is not None and theirs == ours for theirs, ours in ids):
        return Whose.OURS_BY_ID
    if bound_elsewhere:
        return Whose.ANOTHERS
    if number_key(found.number) != number_key(key.shown_number):
        return None
    same_customer = found.customer is not None and found.customer == key.portal_customer
    same = same_customer and found.total is not None and found.total == key.total
    return Whose.OURS_BY_CONTENT if same else Whose.UNCLEAR


_OURS = (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT)
_LIVE = (FoundState.DRAFT, FoundState.SUBMITTED)


def judge(candidates: Sequence[Candidate], known: Known) -> Judgement:
    """What the portal's documents mean for a submission in doubt."""
    if known.kind is Kind.CANCELLATION:
        return _judge_cancellation(candidates, known)
    live = [c for c in candidates if c.found.state in _LIVE]
    ours = [c for c in live if c.whose in _OURS]
    if len(ours) > 1:
        return Judgement(Happening.STUCK, f"the portal shows it {len(ours)} times")
    if ours and (known.leaves is FoundState.DRAFT or ours[0].found.state is FoundState.SUBMITTED):
        return Judgement(Happening.FOUND, f"the portal has it ({ours[0].whose})", found=ours[0].found)
    unclear = _unclear(candidates, live)
    if unclear:
        return Judgement(Happening.STUCK, unclear)
    refused = [c.found for c in candidates if c.found.state is FoundState.REFUSED and c.whose in _OURS]
    if not refused:
        return _absent(known)
    reasons = refused[-1].reasons or (Reason("the portal shows it as refused and gives no reason"),)
    return Judgement(Happening.REFUSED, "the portal shows it as refused", found=refused[-1], reason=reasons[0])


def _unclear(candidates: Sequence[Candidate], live: Sequence[Candidate]) -> str:
    """Why only a person can say what the portal's documents mean; empty if they are clear."""
    for one in live:
        if one.whose is Whose.UNCLEAR:
            total = f"with the total {one.found.total}" if one.found.total is not None else "without a total"
            return f"the portal shows a document with this number {total}"
    if any(c.found.state is FoundState.VOID and c.whose is Whose.OURS_BY_ID for c in candidates):
        return "the portal shows it as cancelled"
    return ""


def _absent(known: Known) -> Judgement:
    if known.may_have_arrived == 0:
        return Judgement(Happening.ABSENT, "nothing was sent")
    if known.said_duplicate:
        if known.looked_since_duplicate:
            return Judgement(Happening.STUCK, "the portal said duplicate, yet shows no such document")
        return Judgement(None, "the portal said duplicate, yet shows no such document; asked once more after settling")
    if known.repeat is Repeat.UNSAFE:
        return Judgement(Happening.STUCK, "it may have arrived, and this portal would take a second one")
    if known.resends >= MAX_RESENDS:
        return Judgement(Happening.STUCK, f"sent {known.resends + 1} times, and the portal shows no trace of it")
    return Judgement(Happening.ABSENT, "the portal does not have it", resend=True)


def _judge_cancellation(candidates: Sequence[Candidate], known: Known) -> Judgement:
    """A cancellation is settled by the state of its original, never by a document being there."""
    ours = [c.found for c in candidates if c.whose in _OURS]
    if any(found.state is FoundState.VOID for found in ours):
        return Judgement(Happening.FOUND, "the portal shows the original as cancelled", found=ours[0])
    if any(found.state is FoundState.SUBMITTED for found in ours):
        return _absent(known)
    return Judgement(Happening.STUCK, "the portal does not show the original")
