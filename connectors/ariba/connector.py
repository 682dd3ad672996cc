"""SAP Ariba for suppliers: one invoice in one cXML document, its status by REST where that is set up."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from connectors.ariba import document, replies
from connectors.ariba.listing import Listing, Row
from connectors.ariba.poll import poll
from connectors.ariba.settings import AribaSettings
from connectors.cxml.envelope import MEDIA_TYPE, Envelope, reveal, serialise
from connectors.cxml.multipart import content_type, multipart
from connectors.http import Http
from hub.contract import connector as contract
from hub.contract.connector import (
    Answer,
    Capabilities,
    Checked,
    Context,
    Enclosure,
    Found,
    InvoiceKey,
    Lookup,
    MappedInvoice,
    OpenRef,
    Page,
    Prior,
    Receipt,
    Refs,
    Stamp,
    Step,
)
from hub.contract.errors import NeedsHuman, PortalChanged, Scope, Undeclared
from hub.contract.invoice import Kind, Money, number_key
from hub.contract.status import Delivered

_REQUEST = "InvoiceDetailRequest"
_DAY = dt.timedelta(days=1)
_NO_REST = "this connection has no `rest` block, so the network can be asked nothing"


class AribaConnector(contract.Connector):
    """One supplier account at the network."""

    Settings = AribaSettings
    version = "1"

    settings: AribaSettings

    def __init__(self, settings: AribaSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._http = Http(context, settings)
        self._post_to = settings.url
        rest = settings.rest
        self._listing = Listing(self._http, context.tokens, rest, settings.identity) if rest else None

    @property
    def capabilities(self) -> Capabilities:
        """Invoices, credits and debits; with `rest`, lookup by number and statuses too."""
        asked = self._listing is not None
        return Capabilities(
            documents=frozenset({Kind.INVOICE, Kind.CREDIT, Kind.DEBIT}),
            lookup=Lookup.EXACT if asked else Lookup.NONE,
            settles_within=self.settings.settles_within,
            intake=Answer.ASYNC,  # a 200 says that the document was executed, not that it was accepted
            acknowledged_within=self.settings.acknowledged_within if asked else None,
            attachments=True,
            statuses=asked,
            statuses_by_customer=True,
            stages=replies.STAGES if asked else frozenset(),
            max_parallel=self.settings.max_parallel,
        )

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:
        """One step: the cXML document."""
        return document.prepare(invoice, stamp, self.settings)

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        """Post the document once."""
        body, media_type = self._on_the_wire(step)
        headers = {"Content-Type": media_type, "Accept": "text/xml"}
        reply = self._http.send("submit", "POST", self._post_to, headers=headers, body=body, commits=True)
        return replies.receipt(reply, step.key)

    def find(self, key: InvoiceKey) -> list[Found]:
        """What the network took in under this number for this buyer, from a day before the first attempt on.

        Before a first attempt it looks from a day before the invoice's date, for what somebody keyed in by hand. A day
        on either side, because the API's times have no zone.
        """
        if self._listing is None:
            raise Undeclared(_NO_REST)
        buyer = key.portal_customer
        if not buyer:
            raise NeedsHuman(
                f"find {key.shown_number}: the customer's network id is not known",
                action=f"Give {key.customer}'s account its network id (AN and 11 digits).",
                scope=Scope.ACCOUNT,
            )
        now = dt.datetime.now(dt.UTC)
        since = key.first_attempt or dt.datetime.combine(key.issue_date, dt.time(), dt.UTC)
        rows = self._listing.invoices("find", buyer, min(since, now) - _DAY, now + _DAY, key.shown_number)
        return [_found(key, row) for row in rows if number_key(row.number) == number_key(key.shown_number)]

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:
        """What changed, buyer by buyer."""
        if self._listing is None or self.settings.rest is None:
            raise Undeclared(_NO_REST)
        return poll(
            self._listing.changed,
            cursor,
            open_refs,
            identity=f"{self.settings.rest.url} {self.settings.identity}",
            now=dt.datetime.now(dt.UTC),
            overlap=self.settings.rest.overlap,
            daily_overlap=self.settings.rest.daily_overlap,
            reach=dt.timedelta(days=self.settings.rest.window_days - 1),
        )

    def check(self) -> Checked:
        """Ask for the network's profile with our credentials, and post where it says from now on."""
        settings, now = self.settings, dt.datetime.now(dt.UTC)
        secret = settings.shared_secret.get_secret_value() if settings.shared_secret else None
        envelope = Envelope(
            sender=settings.identity,
            receiver=settings.network_identity,
            secret=secret,
            payload_id=f"{now:%Y%m%d%H%M%S}.{uuid.uuid4().hex}@{settings.identity}",
            at=now,
            mode=settings.deployment_mode,
            version=settings.cxml_version,
            language=settings.language,
            user_agent=settings.user_agent,
        )
        body = serialise(envelope.open("ProfileRequest")[0], settings.cxml_version, "cXML")
        headers = {"Content-Type": MEDIA_TYPE, "Accept": "text/xml"}
        reply = self._http.send("check", "POST", settings.url, headers=headers, body=body)
        offers = replies.answered(reply, "check").transactions
        proved = [f"the network knows {settings.identity} and its credentials ({settings.deployment_mode})"]
        not_proved = ["that a customer is linked with this account: the network says so only to an invoice"]
        if _REQUEST in offers:
            self._post_to = self._allowed(offers[_REQUEST])
            proved.append(f"it takes invoices at {self._post_to}")
        else:
            not_proved.append("that this account may send invoices: the network's profile does not offer it")
        if self._listing is None:
            not_proved.append(f"lookup and statuses: {_NO_REST}")
        else:
            self._listing.probe(now)
            proved.append("the REST client may read the list of invoices")
        return Checked(tuple(proved), tuple(not_proved))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _on_the_wire(self, step: Step) -> tuple[bytes, str]:
        """The step's bytes with the secret in its place and its attachments around them."""
        secret = self.settings.shared_secret
        try:
            body = reveal(step.bytes, secret.get_secret_value()) if secret else step.bytes
            parts = [(each, self._attached(each)) for each in step.enclosures]
        except (FileNotFoundError, ValueError) as error:
            raise NeedsHuman(
                f"submit {step.key}: what was stored is damaged: {error}; nothing was sent",
                action="Restore the workspace's stored files, or enter the invoice anew.",
            ) from None
        if not step.enclosures:
            return body, step.media_type
        boundary = step.boundary or ""
        return multipart(body, parts, boundary), content_type(self.settings.multipart_subtype, boundary)

    def _attached(self, enclosure: Enclosure) -> bytes:
        content = self.context.attachments.read(enclosure.sha256)
        if hashlib.sha256(content).hexdigest() != enclosure.sha256:
            raise ValueError(f"the bytes of attachment {enclosure.name} are not those it was prepared with")
        return content

    def _allowed(self, url: str) -> str:
        """The profile's URL, if the credentials may go there."""
        ours, theirs = urlsplit(self.settings.url), urlsplit(url)
        if theirs.scheme == ours.scheme and theirs.netloc in (ours.netloc, *self.settings.allowed_hosts):
            return url
        raise PortalChanged(
            f"the network's profile sends invoices to {url}, the settings to {self.settings.url}; if that is right, "
            f"add {theirs.netloc!r} to allowed_hosts or change url",
            delivered=Delivered.NO,
        )


def _found(key: InvoiceKey, row: Row) -> Found:
    """One row as a candidate. The list may give no currency: then it is taken to be the invoice's own.

    A credit's amount counts without its sign: we state it negative (portals/ariba.md, 2.11), the invoice positive.
    """
    total = None
    if row.amount is not None:
        value = row.amount.copy_abs() if key.kind is Kind.CREDIT else row.amount
        total = Money(value, row.currency or key.total.currency)
    return Found(
        refs=Refs(number=row.number, customer=key.portal_customer),
        number=row.number,
        customer=key.portal_customer,
        total=total,
        state=replies.word_of(row.status).found,
        raw=row.raw,
        reasons=replies.reasons_of(row.status),
    )


Connector = AribaConnector
