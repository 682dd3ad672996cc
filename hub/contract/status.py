"""The words of status. Two vocabularies never mix: what became of our submission, and what the buyer did with it."""

from __future__ import annotations

from enum import StrEnum


class Submission(StrEnum):
    """Ours: how far one revision came on its way through one account."""

    DRAFT = "draft"  # read and stored, not yet checked
    HELD = "held"  # our rules or a missing fact hold it; nothing was sent
    READY = "ready"  # checked, prepared and waiting for its turn
    SENDING = "sending"  # claimed by a worker; an attempt may be under way
    IN_DOUBT = "in_doubt"  # an attempt may have arrived; the portal is asked before anything else
    NEEDS_HUMAN = "needs_human"  # only a person can say what is true or do what is needed
    SENT = "sent"  # delivered; the portal has not yet said that it takes it
    ACCEPTED = "accepted"  # the portal took it in
    REFUSED = "refused"  # the portal refused it; the buyer never saw it
    SUPERSEDED = "superseded"  # a newer revision took its place
    WITHDRAWN = "withdrawn"  # a person or a cancellation took it back before it was sent


NOT_LIVE = (Submission.REFUSED, Submission.SUPERSEDED, Submission.WITHDRAWN)


class Stage(StrEnum):
    """The buyer's: what became of the invoice after the portal took it in."""

    RECEIVED = "received"
    IN_REVIEW = "in_review"
    ON_HOLD = "on_hold"
    DISPUTED = "disputed"
    APPROVED = "approved"
    SCHEDULED = "scheduled"  # payment is planned
    PARTLY_PAID = "partly_paid"
    PAID = "paid"  # can be reversed
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # nothing was said, or in words we do not know


class Intake(StrEnum):
    """What a portal says of taking an invoice in. A word that is none of these is kept raw and moves nothing."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class Delivered(StrEnum):
    """Whether a portal has what we sent: the one fact that decides what may happen next."""

    NO = "no"  # certainly not; the same bytes may be sent again
    UNKNOWN = "unknown"  # perhaps; find first
    YES = "yes"  # certainly


class WhoseMove(StrEnum):
    """Who has to act next. Derived from state, stage and reason; never typed in."""

    US_DATA = "us_data"  # accounts receivable: something in the invoice
    US_OPS = "us_ops"  # whoever runs the hub: a login, a task, a connection
    BUYER = "buyer"
    PORTAL = "portal"
    NOBODY_UNTIL = "nobody_until"  # nothing to do; the hub looks again by itself


class ReasonCode(StrEnum):
    """Why, owner first. The portal's own code and words always travel along."""

    SUPPLIER_PO_MISSING = "supplier_po_missing"
    SUPPLIER_LINE_MISMATCH = "supplier_line_mismatch"
    SUPPLIER_TAX = "supplier_tax"
    SUPPLIER_DUPLICATE = "supplier_duplicate"
    SUPPLIER_ATTACHMENT = "supplier_attachment"
    SUPPLIER_CODING = "supplier_coding"
    SUPPLIER_DATE = "supplier_date"
    SUPPLIER_IDENTITY = "supplier_identity"
    BUYER_RECEIPT_MISSING = "buyer_receipt_missing"
    BUYER_APPROVAL = "buyer_approval"
    BUYER_MASTER_DATA = "buyer_master_data"
    PORTAL_FORMAT = "portal_format"
    PORTAL_LIMIT = "portal_limit"
    OTHER = "other"


class Concerns(StrEnum):
    """Which of the two machines a status event speaks to."""

    INTAKE = "intake"
    STAGE = "stage"
