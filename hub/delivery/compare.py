"""What the portal's documents mean for a submission that is in no doubt. Pure.

Whichever revision is known to be there is given its document; what then still bears our number is one too many. What
the portal shows never overrules what we know by itself: what surely is ours is adopted, and else a person is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub.contract.connector import Found, FoundState
from hub.contract.invoice import Money
from hub.contract.status import Stage, Submission
from hub.delivery.candidates import Left, unaccounted
from hub.delivery.judge import LIVE, OURS, Candidate, Whose
from hub.delivery.lifecycle import Happening

S = Submission


class Outcome(StrEnum):
    """What comparing one submission with its portal came to."""

    AGREES = "agrees"
    ADOPTED = "adopted"  # it is there and we did not know it; now we do
    MISSING = "missing"  # we know it as sent, and the portal does not show it
    DIFFERS = "differs"  # the portal shows it otherwise than we hold it, or more than once
    UNKNOWN = "unknown"  # a document with our number that is no revision of ours
    COULD_NOT_ASK = "could_not_ask"
    NO_LOOKUP = "no_lookup"  # nobody can ask this portal, or its answer proves nothing


DIFFERENCES = (Outcome.MISSING, Outcome.DIFFERS, Outcome.UNKNOWN)
MISSING_TASK = "lookup:missing"  # the step of the question where an accepted one is; answered, it may be sent again


@dataclass(frozen=True)
class Held:
    """What we hold of the submission that is compared."""

    state: Submission
    total: Money
    customer: str | None  # the portal's id of it
    stage: Stage | None = None
    known_there: bool = False  # it was known to be delivered, and nothing has denied that since
    missed: bool = False  # a person is asked because an earlier look did not find it
    drafted: bool = False  # a draft of it stands there by our doing
    may_be_there: bool = False  # an attempt of it may have arrived
    exact: bool = True  # an absence is one
    settled: bool = True  # and the portal's search must know of the last attempt by now


@dataclass(frozen=True)
class Compared:
    """What follows: an outcome in words; a move; or a question, under the name of its step."""

    outcome: Outcome
    words: str
    happening: Happening | None = None
    asks: str = ""
    found: Found | None = None


def compare(held: Held, shown: Sequence[Candidate], others: Sequence[Left]) -> Compared:
    """What the documents that the portal shows mean; `others`: what other revisions of it left there."""
    if held.state in {S.SENT, S.ACCEPTED}:
        return _delivered(held, shown, others)
    if held.state in {S.REFUSED, S.WITHDRAWN, S.SUPERSEDED}:
        return _ended(held, shown, others)
    return _not_delivered(held, shown)


def _ask(held: Held, outcome: Outcome, words: str, asks: str) -> Compared:
    """A person is asked, and what was about to go waits for the answer."""
    stuck = Happening.STUCK if held.state is S.READY else None
    return Compared(outcome, words, stuck, "" if stuck or held.state is S.NEEDS_HUMAN else asks)


def _told(shown: Sequence[Candidate]) -> str:
    """Documents by amount and id, always in the same order."""
    return ", ".join(sorted(" as ".join(filter(None, (_total(one), one.found.refs.portal_id))) for one in shown))


def _total(one: Candidate) -> str:
    return str(one.found.total) if one.found.total is not None else "no total"


def _delivered(held: Held, shown: Sequence[Candidate], others: Sequence[Left]) -> Compared:
    """Sent or accepted: exactly one living document is there, over our amount.

    One that does not bear our id is another revision's as long as that one's is not accounted for.
    """
    near = [one for one in shown if one.whose in OURS or _may_be_ours(held, one)]
    mine = [one for one in near if one.whose in OURS or one.found.total is None]
    there = [one for one in near if one.found.state is FoundState.SUBMITTED]
    known = next((one for one in there if one.whose is Whose.OURS_BY_ID), None)
    extra = unaccounted([one for one in there if one is not known], others)
    first = known or next((one for one in extra if one in mine), None)
    extra = [one for one in extra if one is not first]
    if first is None and extra:
        words = f"the portal shows {_told(extra)}, and here it is {held.total}"
        return Compared(Outcome.DIFFERS, words, asks="lookup:amount")
    if first is None:
        return _not_there(held, mine, others)
    if extra:
        told = _told([first, *extra])
        words = f"the portal shows it {1 + len(extra)} times ({told}); one invoice is owed once"
        return Compared(Outcome.DIFFERS, words, asks="lookup:twice")
    total = first.found.total
    if total is not None and total != held.total:
        return Compared(Outcome.DIFFERS, f"the portal shows {total}, and here it is {held.total}", asks="lookup:amount")
    return Compared(Outcome.AGREES, "the portal has it")


def _may_be_ours(held: Held, one: Candidate) -> bool:
    """Under our number, of no other revision, and of no other customer."""
    theirs = one.found.customer
    return one.whose is Whose.UNCLEAR and (theirs is None or held.customer is None or theirs == held.customer)


def _not_there(held: Held, mine: Sequence[Candidate], others: Sequence[Left]) -> Compared:
    """Nothing living of it is there."""
    if any(one.found.state is FoundState.DRAFT for one in mine):
        return Compared(Outcome.DIFFERS, "the portal has it only as a draft", asks="lookup:draft")
    void = [one for one in mine if one.found.state is FoundState.VOID]
    refused = unaccounted([one for one in mine if one.found.state is FoundState.REFUSED], others)
    for ended, word, stage in ((void, "cancelled", Stage.CANCELLED), (refused, "refused", Stage.REJECTED)):
        if ended and held.stage is stage:
            return Compared(Outcome.AGREES, f"the portal shows it as {word}, as is known")
        if ended:
            because = "".join(f": {reason.text}" for reason in ended[-1].found.reasons[:1])
            words = f"the portal shows it as {word}{because}; here it is {held.state}"
            return Compared(Outcome.DIFFERS, words, asks=f"lookup:{word}")
    return _absent(held)


def _absent(held: Held) -> Compared:
    """It was known to be there, and nothing of it is shown: an absence counts where it is one."""
    if not held.exact:
        return Compared(Outcome.NO_LOOKUP, "the portal's list does not show it, which proves nothing")
    if not held.settled:
        return Compared(Outcome.COULD_NOT_ASK, "the portal does not show it yet; its search may still lag")
    if held.state is S.NEEDS_HUMAN:  # who is asked already
        return Compared(Outcome.MISSING, "a person is asked about it, and the portal does not show it")
    words = f"it is {held.state} here, and the portal does not show it"
    if held.state is S.SENT:
        return Compared(Outcome.MISSING, words, Happening.STUCK)
    return Compared(Outcome.MISSING, words, asks=MISSING_TASK)


def _not_delivered(held: Held, shown: Sequence[Candidate]) -> Compared:
    """Not known to be there: what surely is ours and there once is adopted; what is not sure stops it."""
    ours = [one for one in shown if one.whose in OURS]
    there = [one for one in ours if one.found.state is FoundState.SUBMITTED]
    unclear = [one for one in shown if one.whose is Whose.UNCLEAR and one.found.state in LIVE]
    if len(there) == 1 and not unclear:
        return _found(held, there[0])
    if there:
        told = _told([*there, *unclear])
        words = f"the portal shows it {len(there) + len(unclear)} times ({told})"
        return _ask(held, Outcome.DIFFERS, words, "lookup:twice")
    if unclear:
        told = _told(unclear)
        words = f"the portal shows a document with this number ({told}), not surely this one ({held.total})"
        return _ask(held, Outcome.UNKNOWN, words, "lookup:unknown")
    gone = _unlike_ours(held, ours)
    if gone:
        return _ask(held, Outcome.DIFFERS, f"the portal {gone}", "lookup:state")
    if held.known_there:
        return _absent(held)
    return Compared(Outcome.AGREES, "the portal does not have it, and here it is not sent")


def _found(held: Held, one: Candidate) -> Compared:
    if held.known_there and not held.missed:
        return Compared(Outcome.AGREES, "the portal has it; a person is asked something else about it")
    return Compared(Outcome.ADOPTED, f"the portal has it ({one.whose})", Happening.FOUND, found=one.found)


def _unlike_ours(held: Held, ours: Sequence[Candidate]) -> str:
    """What the portal did with a document of ours that we know nothing of."""
    if not held.drafted and any(one.found.state is FoundState.DRAFT for one in ours):
        return "has it as a draft"
    void = [one for one in ours if one.found.state is FoundState.VOID]
    return "shows it as cancelled" if any(one.whose is Whose.OURS_BY_ID or held.may_be_there for one in void) else ""


def _ended(held: Held, shown: Sequence[Candidate], others: Sequence[Left]) -> Compared:
    """Refused, taken back or replaced: nothing living of it is there, but for one that a correction replaced."""
    if held.known_there:
        return Compared(Outcome.AGREES, "the portal had it, and another took its place")
    there = [one for one in shown if one.found.state is FoundState.SUBMITTED and one.whose is not Whose.ANOTHERS]
    left = unaccounted(there, others)
    ours = [one for one in left if one.whose in OURS]
    if ours:
        told = _told(ours)
        words = f"it is {held.state} here, and the portal has it ({told}): it arrived after all"
        return Compared(Outcome.DIFFERS, words, asks="lookup:late")
    if left and held.state is not S.SUPERSEDED:
        told = _told(left)
        words = f"it is {held.state} here, and the portal shows a document with this number ({told})"
        return Compared(Outcome.UNKNOWN, words, asks="lookup:unknown")
    return Compared(Outcome.AGREES, f"nothing living of it is there, and here it is {held.state}")
