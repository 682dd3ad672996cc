"""The ledger's words in plain English, and untrusted words made harmless; for the terminal and the pages alike."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from hub.contract.status import ReasonCode, Stage, Submission, WhoseMove
from hub.schedule import wait_told
from hub.view.filters import Names
from hub.view.invoices import PRESSING, InvoiceRow
from hub.view.overview import Lane, Summary
from hub.view.whose_move import Outcome

NOT_HEARD = "—"

SUBMISSIONS = {
    Submission.DRAFT: "Not checked yet",
    Submission.HELD: "Held by our rules",
    Submission.READY: "Waiting to be sent",
    Submission.SENDING: "Being sent",
    Submission.IN_DOUBT: "In doubt: may have arrived",
    Submission.NEEDS_HUMAN: "Needs a person",
    Submission.SENT: "Sent, not yet taken in",
    Submission.ACCEPTED: "Taken in by the portal",
    Submission.REFUSED: "Refused by the portal",
    Submission.SUPERSEDED: "Replaced by a newer one",
    Submission.WITHDRAWN: "Withdrawn by us",
}
FAILED_TO_SEND = "Failed to send, tried again"

STAGES: dict[Stage | None, str] = {
    None: NOT_HEARD,
    Stage.RECEIVED: "Received",
    Stage.IN_REVIEW: "In review",
    Stage.ON_HOLD: "On hold",
    Stage.DISPUTED: "Disputed by the buyer",
    Stage.APPROVED: "Approved",
    Stage.SCHEDULED: "Payment scheduled",
    Stage.PARTLY_PAID: "Partly paid",
    Stage.PAID: "Paid",
    Stage.REJECTED: "Rejected by the buyer",
    Stage.CANCELLED: "Cancelled",
    Stage.UNKNOWN: "Unknown",
}

MOVES = {
    WhoseMove.US_DATA: "Us: invoice data",
    WhoseMove.US_OPS: "Us: operations",
    WhoseMove.BUYER: "The buyer",
    WhoseMove.PORTAL: "The portal",
    WhoseMove.NOBODY_UNTIL: "Nobody for now",
}

OUTCOMES = {
    Outcome.HELD: "Held by our rules",
    Outcome.FAILED: "Failed to send",
    Outcome.REFUSED: "Refused by the portal",
    Outcome.DISPUTED: "Rejected or disputed by the buyer",
    Outcome.UNKNOWN: "Unknown",
}
MARKS = {  # so that no colour carries a meaning alone
    Outcome.HELD: "■",
    Outcome.FAILED: "↻",
    Outcome.REFUSED: "✕",
    Outcome.DISPUTED: "⚑",
    Outcome.UNKNOWN: "?",
}


def submission_words(row: InvoiceRow) -> str:
    """A submission's state in plain English."""
    return FAILED_TO_SEND if row.outcome is Outcome.FAILED else SUBMISSIONS[row.submission]


def sentence(row: InvoiceRow, now: dt.datetime) -> str:
    """How a document stands, in one sentence that claims no more than is known."""
    ours = submission_words(row)
    stage = f"; stage: {STAGES[row.stage].lower()}" if row.stage else ""
    return f"{ours}{stage}. Since {moment(row.since)} ({age(row.since, now)})."


def customer_name(row: InvoiceRow, names: Names) -> str:
    """What the customer is called; one that the configuration does not know by what its invoice says."""
    return clean(names.customers.get(row.customer) or row.buyer_name or row.customer)


def entity_name(row: InvoiceRow, names: Names) -> str:
    """The same for our selling company."""
    return clean(names.entities.get(row.entity) or row.seller_name or row.entity)


def why(row: InvoiceRow) -> str:
    """The reason with its code and the portal's own, as far as there are any and they say something."""
    known = (code for code in (row.reason_code, row.reason_portal_code) if code and code != ReasonCode.OTHER)
    codes = ", ".join(clean(code) for code in known)
    text = clean(row.reason_text or "")
    return f"{text} ({codes})" if text and codes else text or codes


def notices(row: InvoiceRow, names: Names, now: dt.datetime) -> tuple[str, ...]:
    """What presses, and what is waited for; nothing where neither does."""
    return tuple(filter(None, (deadline(row, names, now), waits(row, names, now))))


def waits(row: InvoiceRow, names: Names, now: dt.datetime) -> str:
    """The hours or the time that something ready waits for: `waits for business hours: opens Mon 08:00 …`."""
    schedule = names.sending.get(row.connection or "")
    turn = row.submission is Submission.READY and row.whose_move is WhoseMove.NOBODY_UNTIL and row.outcome is None
    return (wait_told(schedule, row.since, now) or "") if schedule and turn else ""


def deadline(row: InvoiceRow, names: Names, now: dt.datetime) -> str:
    """`must be sent by 24 Nov, 2 days left`; nothing while there is time, and once it is at the portal."""
    if row.send_by is None:
        return ""
    left = row.send_by - now.astimezone(names.zones.get(row.account or "", dt.UTC)).date()
    day = f"{row.send_by.day} {row.send_by:%b}"
    if left > PRESSING:
        return ""
    if left.days < 0:
        return f"TOO LATE: it had to be sent by {day}, {_days(-left.days)} ago"
    return f"must be sent by {day}, {f'{_days(left.days)} left' if left else 'today is the last day'}"


def standing(rows: Iterable[InvoiceRow], names: Names, now: dt.datetime) -> tuple[str, ...]:
    """What presses and what is waited for in a list: the deadlines first, and one line for all that waits alike."""
    rows = tuple(rows)
    urgent = sorted((row for row in rows if deadline(row, names, now)), key=lambda row: row.send_by or dt.date.max)
    waiting = Counter((row.connection, told) for row in rows if (told := waits(row, names, now)))
    return (
        *(f"{clean(row.number)} {deadline(row, names, now)} ({submission_words(row)})" for row in urgent),
        *(f"{clean(key or '')} ({number} ready) {told}" for (key, told), number in waiting.items()),
    )


def _days(number: int) -> str:
    return f"{number} day{'' if number == 1 else 's'}"


def disarmed(why: str | None) -> str:
    """Why nothing is sent at all, and the next step."""
    told = clean(why or "a person must arm this workspace first").rstrip(".")
    return told if "hub arm" in told else f"{told}; when that is settled, run `hub arm`"


def failures(lane: Lane) -> str:
    """How often in a row a connection or an account failed."""
    return "1 failure" if lane.failures == 1 else f"{lane.failures} failures in a row"


def stopped(lane: Lane, now: dt.datetime) -> str:
    """Why a connection or an account sends nothing now, and until when; nothing where it runs."""
    if lane.paused_at is not None:
        return f"{clean(lane.key)} is paused: {clean(lane.paused_why or '')} (since {age(lane.paused_at, now)})"
    if lane.retry_at is not None and lane.is_held(now):
        until = moment(lane.retry_at)
        return f"{clean(lane.key)} is stopped until {until} after {failures(lane)}: {clean(lane.failing_why or '')}"
    return ""


def standstill(summary: Summary, now: dt.datetime) -> tuple[str, ...]:
    """What sends nothing now: the whole workspace, connections, accounts; each with its reason."""
    whole = () if summary.armed else (f"nothing is sent: {disarmed(summary.disarmed_why)}",)
    return (*whole, *(stopped(lane, now) for lane in summary.stopped(now)))


def unknown_documents(events: int) -> str:
    """That portals speak of what nobody here knows, and what to do next."""
    told = "1 event is of a document" if events == 1 else f"{events} events are of documents"
    return f"{told} that nobody here surely knows: `hub reconcile` lists them"


def heard(row: InvoiceRow, now: dt.datetime) -> str:
    """How old the portal's last word is, and whether that is too old."""
    return f"{age(row.as_of, now)}, stale" if row.stale else age(row.as_of, now)


def money(amount: Decimal, currency: str) -> str:
    """An amount with its currency; two decimals, or as many as it needs."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{places}f} {clean(currency)}"


_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def age(then: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, in one unit (`<1 min` is the least); `never` for what has not happened."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    return next((f"{int(seconds // size)} {unit}" for size, unit in _AGES if seconds >= size), "<1 min")


def moment(at: dt.datetime) -> str:
    """A moment, UTC, to the second."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b."
)
# C0 and C1 controls, and what turns the direction of the text around it (Unicode UAX 9) or breaks lines unseen.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    """Untrusted text on one line, without terminal escapes, controls and marks that turn the text around it."""
    return " ".join(clean_lines(text).split())


def clean_lines(text: str) -> str:
    """The same with its line breaks and tabs."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
