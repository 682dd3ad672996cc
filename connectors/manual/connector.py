"""Connector for portals that nobody automates: submitting is a person's task."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from connectors.manual import document
from hub.contract import connector as contract
from hub.contract.connector import (
    Answer,
    Capabilities,
    Checked,
    Found,
    InvoiceKey,
    Lookup,
    MappedInvoice,
    OpenRef,
    Page,
    Prior,
    Receipt,
    Repeat,
    Stamp,
    Step,
)
from hub.contract.errors import NeedsHuman, Undeclared
from hub.contract.invoice import Kind
from hub.contract.status import Delivered


class ManualSettings(contract.Settings):
    """Where the person goes; an account's own `portal_name` and `portal_url` in hub.yaml come before it."""

    portal: str = "the customer's portal"  # its name, as people call it
    url: str | None = None
    instructions: str = ""  # whatever helps: who has the login, which menu


class ManualConnector(contract.Connector):
    """Every submit raises NeedsHuman with the task sheet; the person's answer brings the portal's confirmation."""

    Settings: ClassVar[type[contract.Settings]] = ManualSettings
    version: ClassVar[str] = "1"
    settings: ManualSettings

    @property
    def capabilities(self) -> Capabilities:
        """Every kind of document; nothing can be asked, and nothing comes by itself."""
        return Capabilities(
            documents=frozenset((Kind.INVOICE, Kind.CREDIT, Kind.DEBIT)),
            lookup=Lookup.NONE,
            settles_within=dt.timedelta(0),
            intake=Answer.SYNC,
            attachments=True,
            people=True,
        )

    def check(self) -> Checked:
        """Nothing can be proved of a portal that only people use."""
        return Checked(proved=(), not_proved=(f"{self.settings.portal} is used by people; the hub cannot reach it",))

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:
        """One step: the task sheet."""
        settings = self.settings
        return (
            Step(
                name="key-in",
                bytes=document.sheet(invoice, settings.portal, settings.url, settings.instructions),
                key=stamp.payload_id,
                repeat=Repeat.UNSAFE,  # a person who keys it twice has two invoices there
                media_type="text/plain; charset=utf-8",
                enclosures=document.enclosures(invoice),
            ),
        )

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        """Always NeedsHuman, with the sheet as its action."""
        self.context.point_of_no_return()
        raise NeedsHuman(
            f"Key this invoice into {self.settings.portal} and enter its confirmation",
            action=step.bytes.decode(),
            url=self.settings.url,
            delivered=Delivered.NO,
        )

    def find(self, key: InvoiceKey) -> list[Found]:
        """Not declared: only a person can look."""
        raise Undeclared(f"{self.settings.portal} cannot be asked for {key.number}; a person must look")

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:
        """Not declared: statuses are typed, or imported from CSV."""
        raise Undeclared(f"{self.settings.portal} tells nothing by itself; enter statuses with `hub record`")


Connector = ManualConnector
