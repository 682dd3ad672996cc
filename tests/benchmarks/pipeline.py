"""`pipeline`: read → rules → map → prepare → schema check, five lines an invoice, on one core.

Every invoice is other bytes (its own number and amounts), so that nothing can be remembered from one to the next. The
same run times the XML parser alone on the same bytes: the ratio says how much of the pipeline is not parsing.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

from lxml import etree
from pydantic import SecretStr

from connectors.ariba.connector import AribaConnector
from connectors.ariba.settings import AribaSettings
from hub.config import PROJECT
from hub.contract.connector import Context, Deadline, MappedInvoice, Stamp, Tokens
from hub.delivery.evidence import Archive, Scrubber
from hub.requirements.extensions import load_extensions
from hub.requirements.finding import Severity
from hub.requirements.mapping import load_mapping
from hub.requirements.paths import Facts
from hub.requirements.rules import load_rules
from hub.sources.read import read_bytes
from hub.store.blobs import Blobs
from tests.benchmarks.result import Result

INVOICES = 2_000
ROUNDS = 5
_TODAY = dt.date(2026, 11, 20)
_FACTS = Facts("AN01000000101-T", "America/Denver", {}, {"tax": "84-5550101"}, {"duns": "080555501"})


def run() -> Iterator[Result]:
    """The best of some rounds, in invoices per second."""
    documents = [_ubl(number) for number in range(INVOICES)]
    whole = _the_whole_road()
    whole(documents[0], 0)  # compile, load, warm up
    best = min(_timed(whole, documents) for _ in range(ROUNDS))
    parsed = min(_timed(lambda content, _: etree.fromstring(content), documents) for _ in range(ROUNDS))
    yield Result("pipeline", INVOICES / best, "invoices/s", "lxml parsing alone", parsed / best)


def _timed(work: Callable[[bytes, int], object], documents: list[bytes]) -> float:
    """Seconds for all documents; nothing is kept from one to the next, as in the program itself."""
    start = time.perf_counter()
    for n, content in enumerate(documents):
        work(content, n)
    return time.perf_counter() - start


class _Open:
    """A gate that lets everything pass; nothing is sent here."""

    def wait(self, verb: str) -> None:
        """At once."""


def _the_whole_road() -> Callable[[bytes, int], object]:
    mappings = PROJECT / "mappings"
    rules = load_rules([PROJECT / "rules"], "ariba", "cascadia", "ridgeline-us", vocabulary=load_extensions([mappings]))
    mapping = load_mapping([mappings], "ariba", "cascadia", "ridgeline-us")
    blobs = Blobs(PROJECT)
    context = Context(
        _Open(), Archive(blobs, Scrubber(())), blobs, Tokens(), threading.Event(), Deadline(60), lambda: None
    )
    settings = AribaSettings(
        url="https://network.example/cxml",
        identity="AN01000000201-T",
        shared_secret=SecretStr("benchmark-secret"),
        deployment_mode="test",
    )
    connector = AribaConnector(settings, context)
    at = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)

    def road(content: bytes, n: int) -> object:
        invoice = read_bytes(content, "benchmark.xml").invoice
        findings = rules.check(invoice, _TODAY, _FACTS)
        fields, missing = mapping.apply(invoice, _FACTS)
        blocking = [finding for finding in (*findings, *missing) if finding.severity is Severity.BLOCK]
        if blocking:
            raise AssertionError(blocking)
        stamp = Stamp(f"{n}.benchmark@hub.example", at, f"part-{n}", f"marker-{n:032x}")
        return connector.prepare(MappedInvoice(invoice, fields.fields, fields.lines), stamp, None)

    return road


def _ubl(number: int) -> bytes:
    """A five-line UBL invoice of our own."""
    nets = [Decimal("12.50") * (number % 40 + line) for line in range(1, 6)]
    net = sum(nets)
    tax = (net * Decimal("0.029")).quantize(Decimal("0.01"))
    lines = "".join(
        f"""<cac:InvoiceLine><cbc:ID>{line}</cbc:ID><cbc:InvoicedQuantity unitCode="EA">{number % 40 + line}</cbc:InvoicedQuantity>
<cbc:LineExtensionAmount currencyID="USD">{amount}</cbc:LineExtensionAmount>
<cac:OrderLineReference><cbc:LineID>{line}0</cbc:LineID></cac:OrderLineReference>
<cac:Item><cbc:Name>Relief valve {line}</cbc:Name><cac:SellersItemIdentification><cbc:ID>RV-{line}</cbc:ID></cac:SellersItemIdentification>
<cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>2.9</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:ClassifiedTaxCategory></cac:Item>
<cac:Price><cbc:PriceAmount currencyID="USD">12.50</cbc:PriceAmount></cac:Price></cac:InvoiceLine>"""
        for line, amount in enumerate(nets, 1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
 xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
 xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
<cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID>
<cbc:ID>B-{number}</cbc:ID><cbc:IssueDate>2026-11-18</cbc:IssueDate><cbc:DueDate>2026-12-18</cbc:DueDate>
<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode><cbc:DocumentCurrencyCode>USD</cbc:DocumentCurrencyCode>
<cac:OrderReference><cbc:ID>4500017001</cbc:ID></cac:OrderReference>
<cac:AccountingSupplierParty>{_party("Ridgeline Valve & Fitting, Inc.", "84-5550101", "Fort Collins")}</cac:AccountingSupplierParty>
<cac:AccountingCustomerParty>{_party("Cascadia Paper Group", "93-5550110", "Longview")}</cac:AccountingCustomerParty>
<cac:TaxTotal><cbc:TaxAmount currencyID="USD">{tax}</cbc:TaxAmount><cac:TaxSubtotal>
<cbc:TaxableAmount currencyID="USD">{net}</cbc:TaxableAmount><cbc:TaxAmount currencyID="USD">{tax}</cbc:TaxAmount>
<cac:TaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>2.9</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:TaxCategory>
</cac:TaxSubtotal></cac:TaxTotal><cac:LegalMonetaryTotal>
<cbc:LineExtensionAmount currencyID="USD">{net}</cbc:LineExtensionAmount>
<cbc:TaxExclusiveAmount currencyID="USD">{net}</cbc:TaxExclusiveAmount>
<cbc:TaxInclusiveAmount currencyID="USD">{net + tax}</cbc:TaxInclusiveAmount>
<cbc:PayableAmount currencyID="USD">{net + tax}</cbc:PayableAmount></cac:LegalMonetaryTotal>{lines}</Invoice>""".encode()


def _party(name: str, tax_id: str, city: str) -> str:
    shown = name.replace("&", "&amp;")
    return f"""<cac:Party><cac:PartyName><cbc:Name>{shown}</cbc:Name></cac:PartyName>
<cac:PostalAddress><cbc:StreetName>1200 Mill Road</cbc:StreetName><cbc:CityName>{city}</cbc:CityName>
<cbc:PostalZone>80524</cbc:PostalZone><cac:Country><cbc:IdentificationCode>US</cbc:IdentificationCode></cac:Country>
</cac:PostalAddress><cac:PartyTaxScheme><cbc:CompanyID>{tax_id}</cbc:CompanyID><cac:TaxScheme><cbc:ID>TAX</cbc:ID></cac:TaxScheme>
</cac:PartyTaxScheme><cac:PartyLegalEntity><cbc:RegistrationName>{shown}</cbc:RegistrationName></cac:PartyLegalEntity></cac:Party>"""
