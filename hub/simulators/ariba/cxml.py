"""POST /service/transaction/cxml.asp: the checks in their order, and what is answered at which of the two levels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from lxml import etree

from hub.simulators.ariba import checks, mime, structure
from hub.simulators.ariba.answers import Refusal, profile, status
from hub.simulators.ariba.config import Buyer, Config, Supplier
from hub.simulators.ariba.envelope import NETWORK, Envelope, authenticated, envelope, parsed, stranger
from hub.simulators.ariba.invoice import read
from hub.simulators.ariba.network import Incoming, Network
from hub.simulators.portal import Call
from hub.simulators.wire import Reply, Request, page

PATH = "/service/transaction/cxml.asp"
VERBS = {"ProfileRequest": "profile"}  # any other is a submit


class Transactions:
    """The address that takes every cXML document."""

    def __init__(self, network: Network, dtd: Path | None) -> None:
        self._network = network
        self._dtd = etree.DTD(str(dtd)) if dtd else None
        self._dtd_lock = threading.Lock()  # a DTD's error log is its own, not the caller's

    def call(self, request: Request) -> Call:
        """What the document asks for; nothing is checked yet beyond what is needed to know it."""
        if request.method != "POST":
            return self._answered(page(405, "Method Not Allowed", "cXML documents are posted."))
        if request.media_type() not in mime.XML_TYPES | mime.MULTIPART_TYPES:
            return self._answered(page(415, "Unsupported Media Type", "Send text/xml, or multipart around it."))
        try:
            content_type = request.header("Content-Type") or ""
            document, parts = mime.opened(content_type, request.body, self._network.config.max_attachment_bytes)
            root = parsed(document)
        except Refusal as refusal:
            return Call("submit", None, self._refuse(refusal), self._deny)
        header = root.find("Request/InvoiceDetailRequest/InvoiceDetailRequestHeader")
        asked = root.find("Request/*")
        verb = VERBS.get(str(asked.tag), "submit") if asked is not None else "submit"
        return Call(
            verb,
            None if header is None else header.get("invoiceID"),
            lambda: self._execute(request, root, parts),
            self._deny,
        )

    def _execute(self, request: Request, root: etree._Element, parts: tuple[mime.Part, ...]) -> Reply:
        try:
            found = envelope(root)
            supplier = authenticated(found, self._network.config)
            if found.request.tag == "ProfileRequest":
                return self._profile(request, root, found)
            self._store(request, root, parts, found, supplier)
        except Refusal as refusal:
            return self._refuse(refusal)()
        return status(200, "", self._network.now())

    def _profile(self, request: Request, root: etree._Element, found: Envelope) -> Reply:
        if found.target != NETWORK:
            raise Refusal(403, f"A ProfileRequest is addressed to the network, {NETWORK}")
        structure.check(root)
        now = self._network.now()
        return status(200, "", now, profile(f"{request.scheme}://{request.header('Host')}{PATH}", now))

    def _store(
        self,
        request: Request,
        root: etree._Element,
        parts: tuple[mime.Part, ...],
        found: Envelope,
        supplier: Supplier,
    ) -> None:
        if found.request.tag != "InvoiceDetailRequest":
            raise Refusal(450, f"{found.request.tag} is not taken here; the profile lists what is")
        buyer = _partner(found, self._network.config)
        structure.check(root)
        self._check_by_dtd(root)
        invoice = read(found.request)
        mime.check_references(invoice.cids, parts)
        checks.check(found.request, invoice, found.at)
        self._network.store(Incoming(supplier, buyer, found.payload_id, invoice, parts, request.headers, request.body))

    def _check_by_dtd(self, root: etree._Element) -> None:
        if self._dtd is None:
            return
        with self._dtd_lock:
            try:
                self._dtd.assertValid(root)
            except etree.DocumentInvalid as error:
                raise Refusal(406, f"{error} (by the DTD)") from None

    def _refuse(self, refusal: Refusal) -> Callable[[], Reply]:
        return lambda: status(refusal.code, refusal.text, self._network.now())

    def _deny(self) -> Reply:
        return self._refuse(stranger())()

    def _answered(self, reply: Reply) -> Call:
        return Call("submit", None, lambda: reply, self._deny)


def _partner(found: Envelope, config: Config) -> Buyer:
    """The buyer it is addressed to. Raises Refusal (403) where the two do not trade."""
    for buyer in config.buyers:
        if buyer.anid == found.target and found.sender in buyer.suppliers:
            return buyer
    raise Refusal(403, f"No trading relationship between {found.sender} and {found.target}")
