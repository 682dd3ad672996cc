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
class Refusal:
    """What the portal said against a submission in doubt."""

    reason: Reason
    may_be_another: bool  # beside the refused attempt another may have arrived


@dataclass(frozen=True)
class Known:
    """What we know of a submission in doubt, and of the step that the doubt is about."""

    kind: Kind
    repeat: Repeat
    leaves: FoundState
    drafted: bool  # a draft of it stood there before this step: finding one proves nothing
    may_have_arrived: int  # attempts at the step that are not certainly undelivered
    resends: int
    could_ask: bool  # the portal was asked, so that an absence is one
    said_duplicate: bool
    looked_since_duplicate: bool  # one settled look after the duplicate found nothing already
    said_there: str = ""  # in what words the portal said by itself that it has it
    refusal: Refusal | None = None
    last_words: str = ""  # of the last attempt: the portal's, or the wire's


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


OURS = (Whose.OURS_BY_ID, Whose.OURS_BY_CONTENT)
LIVE = (FoundState.DRAFT, FoundState.SUBMITTED)


def judge(candidates: Sequence[Candidate], known: Known) -> Judgement:
    """What the portal's documents mean for a submission in doubt."""
    if known.kind is Kind.CANCELLATION:
        return _judge_cancellation(candidates, known)
    live = [c for c in candidates if c.found.state in LIVE]
    settled = _by_presence([c for c in live if c.whose in OURS], known)
    if settled is not None:
        return settled
    unclear = _unclear(candidates, live, known)
    if unclear:
        return Judgement(Happening.STUCK, unclear)
    refused = [c.found for c in candidates if c.found.state is FoundState.REFUSED and c.whose in OURS]
    if not refused:
        return _absent(known)
    reasons = refused[-1].reasons or (Reason("the portal shows it as refused and gives no reason"),)
    return Judgement(Happening.REFUSED, "the portal shows it as refused", found=refused[-1], reason=reasons[0])


def _by_presence(ours: Sequence[Candidate], known: Known) -> Judgement | None:
    """What a live document of ours settles: a draft settles the step that made one, and is a person's otherwise."""
    if not ours:
        return None
    if len(ours) > 1:
        return Judgement(Happening.STUCK, f"the portal shows it {len(ours)} times")
    found = ours[0].found
    if found.state is FoundState.SUBMITTED:
        return Judgement(Happening.FOUND, f"the portal has it ({ours[0].whose})", found=found)
    if known.drafted:
        return None
    if known.leaves is FoundState.DRAFT and known.may_have_arrived:
        return Judgement(Happening.HALFWAY, "the portal has its draft, and the next step may go", found=found)
    return Judgement(Happening.STUCK, "the portal has it as a draft", found=found)


def _unclear(candidates: Sequence[Candidate], live: Sequence[Candidate], known: Known) -> str:
    """Why only a person can say what the portal's documents mean; empty if they are clear."""
    for one in live:
        if one.whose is Whose.UNCLEAR:
            total = f"with the total {one.found.total}" if one.found.total is not None else "without a total"
            return f"the portal shows a document with this number {total}"
    void = {c.whose for c in candidates if c.found.state is FoundState.VOID}
    if Whose.OURS_BY_ID in void or (known.may_have_arrived and Whose.OURS_BY_CONTENT in void):
        return "the portal shows it as cancelled"
    return ""


def _absent(known: Known) -> Judgement:
    """The portal shows no such document, or cannot be asked: what it said before decides, then the step's repeat.

    A second send is the last resort: never after a duplicate, nor against a word that it is there.
    """
    asked, there, duplicate = known.could_ask, bool(known.said_there), known.said_duplicate
    shows = "yet shows no such document" if asked else "and cannot be asked"
    refusal, no = known.refusal, known.refusal.reason.text if known.refusal else ""
    is_refused = refusal is not None and (asked or not refusal.may_be_another)
    absent = "the portal does not have it" if asked else f"the portal cannot be asked, and a repeat is {known.repeat}"
    stuck = Happening.STUCK
    rows = (  # the first that holds
        (there and refusal, Judgement(stuck, f"the portal said {known.said_there}, and refused it: {no}")),
        (there and not asked, Judgement(Happening.FOUND, f"the portal said {known.said_there}")),
        (
            duplicate and asked and not known.looked_since_duplicate,
            Judgement(None, f"the portal said duplicate, {shows}; asked once more after settling"),
        ),
        (duplicate, Judgement(stuck, f"the portal said duplicate, {shows}")),
        (there, Judgement(stuck, f"the portal said {known.said_there}, {shows}")),
        (is_refused, Judgement(Happening.REFUSED, "the portal refused it", reason=refusal.reason if refusal else None)),
        (refusal, Judgement(stuck, f"the portal refused it ({no}), but another attempt of it may have arrived")),
        (not known.may_have_arrived, Judgement(Happening.ABSENT, "nothing was sent")),
        (
            known.repeat is Repeat.UNSAFE,
            Judgement(stuck, "it may have arrived, and this portal would take a second one"),
        ),
        (
            known.resends >= MAX_RESENDS,
            Judgement(
                stuck,
                f"sent {known.resends + 1} times, and the portal shows no trace of it; the last ended in: "
                f"{known.last_words}",
            ),
        ),
    )
    resend = Judgement(Happening.ABSENT, absent, resend=True)
    return next((judgement for holds, judgement in rows if holds), resend)


def _judge_cancellation(candidates: Sequence[Candidate], known: Known) -> Judgement:
    """A cancellation is settled by the state of its original, never by a document being there."""
    ours = [c.found for c in candidates if c.whose in OURS]
    void = [found for found in ours if found.state is FoundState.VOID]
    if void:
        return Judgement(Happening.FOUND, "the portal shows the original as cancelled", found=void[0])
    if any(found.state is FoundState.SUBMITTED for found in ours):
        return _absent(known)
    return Judgement(Happening.STUCK, "the portal does not show the original")
