"""The network's memory: what was stored, when, and what became of it."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hub.simulators.ariba.answers import Refusal
from hub.simulators.ariba.config import Buyer, Config, Order, Supplier
from hub.simulators.ariba.invoice import Invoice, Portion
from hub.simulators.ariba.mime import Part
from hub.simulators.ariba.orders import broken_rule, check_remaining, ordered, taken

REFUSED = frozenset({"Failed", "Rejected"})
GONE = REFUSED | {"Canceled"}  # what no longer counts against an order
NEXT = {"Queued": "Sent", "Sent": "Acknowledged", "Acknowledged": "Approved", "Approved": "Paid"}


TELLINGS = ("twice", "stale")  # the same status again; the one before it, behind it


@dataclass(frozen=True)
class Change:
    """A status from `at` on; `at` may lie ahead."""

    at: dt.datetime
    status: str
    reason: str = ""


@dataclass(eq=False)
class Document:
    """One document as it came, and its statuses in the order of their times. Only `changes` ever changes."""

    supplier: str
    buyer: str
    payload_id: str
    invoice: Invoice
    parts: tuple[tuple[Order, Portion], ...]
    attachments: tuple[Part, ...]
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    stored_at: dt.datetime
    changes: list[Change] = field(default_factory=list)

    def at(self, now: dt.datetime) -> Change:
        """The status that holds now; the first one if the clock was set back before it."""
        return next((change for change in reversed(self.changes) if change.at <= now), self.changes[0])


@dataclass(frozen=True)
class Incoming:
    """A document that passed every check that needs no memory."""

    supplier: Supplier
    buyer: Buyer
    payload_id: str
    invoice: Invoice
    attachments: tuple[Part, ...]
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


class Network:
    """Everything that is remembered, under one lock. Times are the network's own, which the control plane can set."""

    def __init__(self, config: Config, settle: float) -> None:
        self.config = config
        self.lock = threading.RLock()
        self._settle = dt.timedelta(seconds=settle)
        self._lags: dict[str | None, dt.timedelta | None] = {}  # number, None: any → how late; None: never shown
        self._told_again: dict[str | None, set[str]] = {}  # number, None: any → words of TELLINGS
        self._tokens: dict[str, tuple[Supplier, dt.datetime]] = {}
        self.reset()

    def clear(self) -> None:
        """Let searches lag no more than they were started with, and the feed be honest."""
        with self.lock:
            self._lags = {None: self._settle}
            self._told_again = {}

    def reset(self) -> None:
        """Forget everything but the configuration."""
        with self.lock:
            self.clear()
            self.offset = dt.timedelta()
            self.documents: list[Document] = []
            self.calls: Counter[tuple[str, int, int]] = Counter()  # (supplier, seconds of a window, its index) → calls
            self._tokens.clear()
            self._by_number: defaultdict[tuple[str, str], list[Document]] = defaultdict(list)
            self._by_payload: dict[tuple[str, str], Document] = {}
            # What all documents took of an order, and those of them that may have been refused or cancelled since:
            # so a thousand invoices of one order cost no more than one.
            self._taken: defaultdict[tuple[str, str], defaultdict[str, Decimal]] = defaultdict(
                lambda: defaultdict(Decimal)
            )
            self._given_back: defaultdict[tuple[str, str], set[Document]] = defaultdict(set)

    def now(self) -> dt.datetime:
        """The network's time, UTC."""
        return dt.datetime.now(dt.UTC) + self.offset

    def store(self, incoming: Incoming) -> None:
        """Take a document in, or cancel the one that it deletes. Raises Refusal; then nothing is stored."""
        parts = ordered(incoming.invoice, incoming.buyer)
        with self.lock:
            now = self.now()
            if incoming.invoice.operation == "delete":
                self._cancel(incoming, now)
                self._keep(incoming, (), [Change(now, "Sent")], now)
                return
            duplicate = self._duplicate(incoming, now)
            if duplicate and self.config.duplicate_style == "409":
                raise Refusal(409, duplicate)
            if not duplicate:
                check_remaining(parts, lambda order: self._invoiced(incoming.buyer, order, now))
            reason = duplicate or broken_rule(incoming.invoice, len(incoming.attachments), incoming.buyer)
            self._keep(incoming, parts, self._course(incoming.buyer, reason, now), now)

    def found(self, supplier: str, number: str | None = None) -> list[Document]:
        """The invoices a search shows now, oldest first; with `number` only those that bear it."""
        with self.lock:
            of_number = self._by_number.get((supplier, _same(number)), []) if number is not None else self.documents
            now = self.now()
            return [
                document
                for document in of_number
                if document.supplier == supplier and document.invoice.operation == "new" and self._shows(document, now)
            ]

    def lag(self, number: str | None, lag: dt.timedelta | None) -> None:
        """Let searches show documents of this number (None: all) so late; None: never."""
        with self.lock:
            self._lags[None if number is None else _same(number)] = lag

    def tell_again(self, number: str | None, how: str) -> None:
        """Let the feed tell documents of this number (None: all) again as one of TELLINGS says."""
        with self.lock:
            self._told_again.setdefault(None if number is None else _same(number), set()).add(how)

    def told_again(self, documents: Sequence[Document], now: dt.datetime) -> list[tuple[Document, str]]:
        """What the feed tells behind these documents' true statuses: the same ones, and the ones before them."""
        with self.lock:
            told = []
            for document in documents:
                hows = self._told_again.get(_same(document.invoice.number), self._told_again.get(None, set()))
                past = [change.status for change in document.changes if change.at <= now]
                told += [(document, status) for status in past[-1:] if "twice" in hows]
                told += [(document, status) for status in past[-2:-1] if "stale" in hows]
            return told

    def named(self, number: str, buyer: str | None) -> Document | None:
        """The invoice that a control request means: of this number the last one that lives, else the last one."""
        with self.lock:
            now = self.now()
            named = [
                document
                for document in self.documents
                if _same(document.invoice.number) == _same(number)
                and buyer in (None, document.buyer)
                and document.invoice.operation == "new"
            ]
            living = [document for document in named if document.at(now).status not in GONE]
            return next(reversed(living or named), None)

    def change(self, document: Document, status: str, reason: str = "") -> None:
        """Set a document's status; whatever was to come by itself no longer does."""
        with self.lock:
            now = self.now()
            document.changes = [
                *(change for change in document.changes if change.at <= now),
                Change(now, status, reason),
            ]
            self._note(document)

    def forget_tokens(self) -> None:
        """Let no token be good any longer."""
        with self.lock:
            self._tokens.clear()

    def token(self, supplier: Supplier) -> str:
        """A new access token for this supplier."""
        with self.lock:
            token = secrets.token_urlsafe(24)
            self._tokens[token] = supplier, self.now() + dt.timedelta(seconds=self.config.token_seconds)
            return token

    def bearer(self, token: str) -> Supplier | None:
        """Whose token this is, as long as it is good."""
        with self.lock:
            supplier, ends = self._tokens.get(token, (None, self.now()))
            return supplier if self.now() < ends else None

    def _shows(self, document: Document, now: dt.datetime) -> bool:
        """Whether a search shows this document yet."""
        lag = self._lags.get(_same(document.invoice.number), self._lags[None])
        return lag is not None and document.stored_at <= now - lag

    def _duplicate(self, incoming: Incoming, now: dt.datetime) -> str:
        """Why this document is one that was received before; "" if it is not."""
        key = incoming.supplier.anid, incoming.payload_id
        if key in self._by_payload:
            return f"INVOICE_DUPLICATE: a document with payloadID {incoming.payload_id} was already received"
        if not incoming.buyer.enforce_unique_numbers:
            return ""
        free = REFUSED if incoming.buyer.reuse_number_after_refusal else frozenset()
        for document in self._by_number[incoming.supplier.anid, _same(incoming.invoice.number)]:
            if document.buyer == incoming.buyer.anid and document.at(now).status not in free:
                return f"INVOICE_DUPLICATE: an invoice with the same ID {incoming.invoice.number} was already received"
        return ""

    def _cancel(self, incoming: Incoming, now: dt.datetime) -> None:
        """Cancel the original, which is possible only while it is Sent (KB84157)."""
        invoice = incoming.invoice
        original = self._by_payload.get((incoming.supplier.anid, invoice.original or ""))
        if (
            original is None
            or original.buyer != incoming.buyer.anid
            or _same(original.invoice.number) != _same(invoice.number)
        ):
            raise Refusal(417, f"Invoice not found: none {invoice.number} was sent with payloadID {invoice.original}")
        status = original.at(now).status
        if status != "Sent":
            raise Refusal(409, f"Invoice {invoice.number} is {status} and can no longer be canceled")
        self.change(original, "Canceled")

    def _invoiced(self, buyer: Buyer, order: Order, now: dt.datetime) -> Mapping[str, Decimal]:
        """What living invoices have taken of an order."""
        key = buyer.anid, order.id
        sums = dict(self._taken[key])
        for document in self._given_back[key]:
            if document.at(now).status in GONE:
                for what, amount in taken(document.parts, order).items():
                    sums[what] -= amount
        return sums

    def _course(self, buyer: Buyer, reason: str, now: dt.datetime) -> list[Change]:
        """What will become of a new document by itself."""
        sent = now + dt.timedelta(seconds=self.config.queued_seconds)
        course = [Change(now, "Queued")] if sent > now else []
        course.append(Change(sent, "Sent"))
        if reason:
            course.append(Change(sent + dt.timedelta(seconds=self.config.failed_after_seconds), "Failed", reason))
        elif buyer.auto_acknowledge is not None:
            course.append(Change(sent + dt.timedelta(seconds=buyer.auto_acknowledge), "Acknowledged"))
        return course

    def _keep(
        self,
        incoming: Incoming,
        parts: tuple[tuple[Order, Portion], ...],
        course: list[Change],
        now: dt.datetime,
    ) -> None:
        document = Document(
            incoming.supplier.anid,
            incoming.buyer.anid,
            incoming.payload_id,
            incoming.invoice,
            parts,
            incoming.attachments,
            incoming.headers,
            incoming.body,
            now,
            course,
        )
        self.documents.append(document)
        self._by_payload.setdefault((document.supplier, document.payload_id), document)
        if document.invoice.operation == "new":
            self._by_number[document.supplier, _same(document.invoice.number)].append(document)
        for order in {order.id: order for order, _ in parts}.values():
            for what, amount in taken(parts, order).items():
                self._taken[document.buyer, order.id][what] += amount
        self._note(document)

    def _note(self, document: Document) -> None:
        """Remember a document that gives back what it took of its orders, now or later."""
        if any(change.status in GONE for change in document.changes):
            for order, _ in document.parts:
                self._given_back[document.buyer, order.id].add(document)


def _same(number: str) -> str:
    """Numbers that are the same to the network have the same text here."""
    return number.strip().casefold()
