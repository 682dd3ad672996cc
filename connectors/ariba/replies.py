"""What the network says, in our words. Pure; the tables are the whole of it.

Sources: portals/ariba.md 3.2 (cXML status codes), 6 (messages), 9 (status words); architecture.md ("cXML:") governs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from connectors.cxml.response import Answer, read
from connectors.http import Reply
from hub.contract.connector import FoundState, Receipt, Refs
from hub.contract.errors import AuthFailed, Duplicate, PortalError, Reason, Rejected, Scope, Transient
from hub.contract.status import Concerns, Delivered, Intake, ReasonCode, Stage


class Verdict(Enum):
    """What a cXML status code means to us."""

    TAKEN = "executed, or accepted for forwarding; whether the buyer gets it is said later"
    LOGIN = "the network does not know us or our secret"
    NO_RELATIONSHIP = "we may not send to this buyer"
    DUPLICATE = "it has this invoice, or says so"
    REJECTED = "parsed and not acceptable; the same again is refused again"
    LATER = "it did not look at it"
    UNKNOWN = "it may have it"


VERDICTS = {
    200: Verdict.TAKEN,
    201: Verdict.TAKEN,
    204: Verdict.TAKEN,
    211: Verdict.TAKEN,
    280: Verdict.TAKEN,  # forwarded by a hub, reliably
    281: Verdict.TAKEN,  # forwarded by a hub, as by e-mail
    400: Verdict.REJECTED,
    401: Verdict.LOGIN,
    402: Verdict.REJECTED,
    403: Verdict.NO_RELATIONSHIP,
    406: Verdict.REJECTED,
    409: Verdict.DUPLICATE,
    412: Verdict.REJECTED,
    417: Verdict.REJECTED,  # of several meanings; a duplicate says so in its text
    450: Verdict.REJECTED,
    475: Verdict.REJECTED,
    476: Verdict.REJECTED,
    477: Verdict.REJECTED,
    499: Verdict.REJECTED,
    500: Verdict.UNKNOWN,  # KB0646639: also a broken rule, in the same words as a failure
    550: Verdict.UNKNOWN,
    551: Verdict.UNKNOWN,
    560: Verdict.LATER,
}
# Whose trouble a code that settles nothing is: the network answers, so the others go on.
_SCOPES = {500: Scope.INVOICE, 550: Scope.ACCOUNT, 551: Scope.ACCOUNT}
# A code that is not listed counts as the first of its class (ariba.md 3.2); one of no class proves nothing.
CLASSES = {2: Verdict.TAKEN, 4: Verdict.REJECTED, 5: Verdict.UNKNOWN}

DUPLICATE_TEXT = re.compile(
    r"INVOICE_DUPLICATE|duplicate (of )?(an? )?invoice|same invoice (id|number)|"
    r"invoice\b.{0,80}\b(already|previously) (been )?(received|submitted|processed|used|exists)",
    re.IGNORECASE,
)

C = ReasonCode
# The first pattern that is found decides. Codes: KB0394765, KB0392737, KB161207, KB188028, KB0646639; ariba.md 6.
REASONS = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (DUPLICATE_TEXT.pattern, C.SUPPLIER_DUPLICATE),
        (r"\bINV-(13|15|143)(?![\w-])|non-PO invoice", C.SUPPLIER_PO_MISSING),
        (r"\bINV-98(?![\w-])|tax ?id", C.SUPPLIER_TAX),
        (r"exceeds limit|accumulatedPoItemInvoicedAmount|remaining (amount|quantity)", C.SUPPLIER_LINE_MISMATCH),
        (r"INVOICE_NO_ID|SHIPPING_IN_LINE_ERROR|INV_ROLE_IN_SHIPPING", C.PORTAL_FORMAT),
        (r"SUMMARY_AND_DETAIL|DETAIL_AND_SUMMARY", C.PORTAL_FORMAT),
        (r"goods receipt|ship notice|not (been )?(received|shipped)", C.BUYER_RECEIPT_MISSING),
        (r"insufficient .{0,20}funds", C.BUYER_APPROVAL),
        (r"attachment|file (name|type|extension)", C.SUPPLIER_ATTACHMENT),
        (r"relationship|not enabled|credentials", C.SUPPLIER_IDENTITY),
        (r"sold-?to", C.SUPPLIER_CODING),
        (r"document size|too large", C.PORTAL_LIMIT),
        (r"quantity|unit price|unit of measure|\bUOM\b|currency|\bline\b", C.SUPPLIER_LINE_MISMATCH),
        (r"\border\b|\bPO\b|contract", C.SUPPLIER_PO_MISSING),
        (r"\btax\b|\bVAT\b", C.SUPPLIER_TAX),
        (r"invoice ?date|\bdate\b|back-?dat|future", C.SUPPLIER_DATE),
        (r"parse|DTD|element|attribute|arithmetic", C.PORTAL_FORMAT),
    )
)  # fmt: skip
_REASON_BY_CODE = {406: C.PORTAL_FORMAT, 450: C.PORTAL_FORMAT, 499: C.PORTAL_LIMIT}  # where the words say nothing
_PORTAL_CODE = re.compile(r"\bINV-(?:[0-9]{1,3}|[A-Z_]{4,})(?![\w-])|\b[A-Z]{3,}(?:_[A-Z]+)+\b")
_REFERENCE = re.compile(r"\bANERR-\w+")

NO_REASON = "reason not given by this channel; see the portal"


@dataclass(frozen=True)
class Word:
    """One of the network's status words (ariba.md 4.3 and 9)."""

    concerns: Concerns
    ours: str
    found: FoundState = FoundState.SUBMITTED
    reason: str | None = None


WORDS = {
    "queued": Word(Concerns.INTAKE, Intake.PENDING),
    "sent": Word(Concerns.INTAKE, Intake.PENDING),
    "acknowledged": Word(Concerns.INTAKE, Intake.ACCEPTED),
    "failed": Word(Concerns.INTAKE, Intake.REFUSED, FoundState.REFUSED, f"refused; {NO_REASON}"),
    "approved": Word(Concerns.STAGE, Stage.APPROVED),
    "paid": Word(Concerns.STAGE, Stage.PAID),
    "rejected": Word(Concerns.STAGE, Stage.REJECTED, reason=f"rejected; {NO_REASON}"),
    "canceled": Word(Concerns.STAGE, Stage.CANCELLED, FoundState.VOID),
    "obsoleted": Word(Concerns.STAGE, Stage.UNKNOWN, FoundState.VOID),  # cancelled or replaced; which, is not said
}
UNKNOWN_WORD = Word(Concerns.STAGE, Stage.UNKNOWN)
STAGES = frozenset(
    Stage(word.ours) for word in WORDS.values() if word.concerns is Concerns.STAGE and word.ours != Stage.UNKNOWN
)


def receipt(reply: Reply, payload_id: str) -> Receipt:
    """The network's yes to a submit; raises what anything else means."""
    answer = answered(reply, "submit")
    return Receipt(Refs(payload_id=payload_id), Intake.PENDING, reply.body, answer.words)


def answered(reply: Reply, verb: str) -> Answer:
    """The cXML answer of class 2xx; raises what anything else means. The cXML status counts, not HTTP's."""
    answer = read(reply.body)
    if not isinstance(answer, Answer):
        raise _no_cxml(reply, f"{verb}: HTTP {reply.status}, no cXML ({answer.why})")
    verdict = verdict_of(answer)
    if verdict is Verdict.TAKEN:
        return answer
    raise _error(verdict, answer, f"{verb}: {answer.code} {_with_reference_first(answer.words)}", reply)


def verdict_of(answer: Answer) -> Verdict:
    """What the answer's code means, but for a refusal or a failure whose text says that the invoice is there."""
    verdict = VERDICTS.get(answer.code) or CLASSES.get(answer.code // 100, Verdict.UNKNOWN)
    if verdict in (Verdict.REJECTED, Verdict.UNKNOWN) and DUPLICATE_TEXT.search(answer.words):
        return Verdict.DUPLICATE
    return verdict


def reason_of(words: str, code: int) -> Reason:
    """The portal's words with our code, and the portal's own: the one in its words, else the status code."""
    own = _PORTAL_CODE.search(words)
    ours = next((reason for pattern, reason in REASONS if pattern.search(words)), None)
    if ours is None:
        ours = _REASON_BY_CODE.get(code, C.OTHER)
    return Reason(words or f"status {code}", ours, own.group() if own else str(code))


def word_of(raw: str) -> Word:
    """Our word for the network's; a word that is not in the table moves nothing."""
    return WORDS.get(raw.strip().casefold(), UNKNOWN_WORD)


def reasons_of(raw: str) -> tuple[Reason, ...]:
    """Why, as far as a mere status word says it: that the reason stands elsewhere."""
    text = word_of(raw).reason
    return (Reason(text, C.OTHER, raw),) if text else ()


def _no_cxml(reply: Reply, message: str) -> Transient:
    certain = reply.throttled or reply.status == HTTPStatus.UNAUTHORIZED
    delivered = Delivered.NO if certain else Delivered.UNKNOWN
    return Transient(message, delivered=delivered, retry_after=reply.retry_after, reply=reply.body)


def _with_reference_first(words: str) -> str:
    """The words, led by the network's error reference, which its support asks for."""
    found = _REFERENCE.search(words)
    return f"[{found.group()}] {words}" if found else words


def _error(verdict: Verdict, answer: Answer, message: str, reply: Reply) -> PortalError:
    if verdict in (Verdict.REJECTED, Verdict.DUPLICATE):
        kind = Duplicate if verdict is Verdict.DUPLICATE else Rejected
        return kind(message, reasons=(reason_of(answer.words, answer.code),), reply=reply.body)
    if verdict in (Verdict.LOGIN, Verdict.NO_RELATIONSHIP):
        scope = Scope.CONNECTION if verdict is Verdict.LOGIN else Scope.ACCOUNT
        return AuthFailed(message, scope=scope, reply=reply.body)
    delivered = Delivered.NO if verdict is Verdict.LATER else Delivered.UNKNOWN
    return Transient(
        message,
        delivered=delivered,
        scope=_SCOPES.get(answer.code, Scope.CONNECTION),
        retry_after=reply.retry_after,
        reply=reply.body,
    )
