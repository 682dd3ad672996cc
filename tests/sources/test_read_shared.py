"""The 32 public EN 16931 examples: each is read, and nothing in it is lost."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from hub.contract.invoice import Kind
from hub.contract.totals import disagreements
from hub.sources.read import Read, read

FILES = 32

# Path below the root → why its text need not stand in the invoice. Nothing else may be missing.
NOT_KEPT = {
    "AllowanceCharge/TaxCategory/TaxScheme/ID": "the tax stands in the breakdown",
    "CategoryTradeTax/TypeCode": "the tax stands in the breakdown",
    "SpecifiedProcuringProject/Name": "CII demands it, EN 16931 fixes its text",
    "PartyTaxScheme/TaxScheme/ID": "it decides between vat_id and tax_id",
    "AdditionalReferencedDocument/TypeCode": "it decides what the document is",
    "DocumentReference/DocumentTypeCode": "it decides what the document is",
    "Price/AllowanceCharge/ChargeIndicator": "only discounts stand in a price",
    "AppliedTradeAllowanceCharge/ChargeIndicator/Indicator": "only discounts stand in a price",
    "GrossPriceProductTradePrice/BasisQuantity": "the same as the net price's (BT-149)",
}
# Attributes: what they say stands elsewhere or is no term of the model.
ATTRIBUTES_NOT_KEPT = {
    "currencyID": "compared with BT-5",
    "format": "102, the only date format allowed",
    "schemaLocation": "of the XML, not of the invoice",
    "unitCode of BaseQuantity": "BT-150 is the unit of the quantity",
    "unitCode of BasisQuantity": "BT-150 is the unit of the quantity",
    "listVersionID": "BT-158-2, which the model does not hold",
    "schemeID of SpecifiedTaxRegistration/ID": "it decides between vat_id and tax_id",
    "schemeAgencyID": "no EN 16931 term",
    "listAgencyID": "no EN 16931 term",
    "listName": "no EN 16931 term",
    "languageID": "no EN 16931 term",
}


def files(shared: Path) -> list[Path]:
    """Every example, in order."""
    found = sorted((shared / "data" / "en16931").glob("*/*.xml"))
    assert len(found) == FILES
    return found


@pytest.fixture(scope="module")
def everything(shared: Path) -> list[tuple[Path, Read]]:
    """Every example with what was read from it."""
    return [(path, read(path)) for path in files(shared)]


def texts(root: etree._Element, *paths: str) -> list[str]:
    """What the test itself finds at a path of local names."""
    return [
        element.text.strip()
        for path in paths
        for element in root.xpath("/*/" + "/".join(f"*[local-name()='{name}']" for name in path.split("/")))
        if element.text
    ]


SETTLEMENT = "SupplyChainTradeTransaction/ApplicableHeaderTradeSettlement"
EXPECTED = {
    "number": ("ID", "ExchangedDocument/ID"),
    "code": ("InvoiceTypeCode", "CreditNoteTypeCode", "ExchangedDocument/TypeCode"),
    "currency": ("DocumentCurrencyCode", f"{SETTLEMENT}/InvoiceCurrencyCode"),
    "payable": (
        "LegalMonetaryTotal/PayableAmount",
        f"{SETTLEMENT}/SpecifiedTradeSettlementHeaderMonetarySummation/DuePayableAmount",
    ),
}
LINES = (
    "InvoiceLine/ID",
    "CreditNoteLine/ID",
    "SupplyChainTradeTransaction/IncludedSupplyChainTradeLineItem/AssociatedDocumentLineDocument/LineID",
)


def test_all_examples_are_read_with_the_values_that_xpath_finds(everything: list[tuple[Path, Read]]) -> None:
    """Number, kind, currency, amount due and lines are what the document says; every total agrees."""
    for path, found in everything:
        root = etree.parse(path, etree.XMLParser(huge_tree=True)).getroot()
        number, code, currency, payable = (texts(root, *EXPECTED[name])[0] for name in EXPECTED)
        invoice = found.invoice
        assert number == invoice.number, path.name
        assert {"380": Kind.INVOICE, "381": Kind.CREDIT}[code] == invoice.kind, path.name
        assert (Decimal(payable), currency) == invoice.payable, path.name
        assert len(texts(root, *LINES)) == len(invoice.lines), path.name
        assert disagreements(invoice) == (), path.name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == found.source_sha256


def test_the_examples_are_of_both_syntaxes(everything: list[tuple[Path, Read]]) -> None:
    """The format is told from the content, which here agrees with the folder."""
    assert {(path.parent.name, found.format) for path, found in everything} == {("ubl", "ubl"), ("cii", "cii")}


def test_second_tax_totals_are_read_in_the_accounting_currency(everything: list[tuple[Path, Read]]) -> None:
    """Three examples state the tax in a second currency (BT-111)."""
    second = {
        path.name: (found.invoice.totals.tax_accounting, found.invoice.tax_currency)
        for path, found in everything
        if found.invoice.totals.tax_accounting is not None
    }
    assert second == {
        "CII_example5.xml": (Decimal("628.62"), "EUR"),
        "ubl-tc434-example5.xml": (Decimal("628.62"), "EUR"),
        "ubl-tc434-example10.xml": (Decimal("2000.73"), "SEK"),
    }


def test_embedded_attachments_are_kept_byte_for_byte(everything: list[tuple[Path, Read]]) -> None:
    """What stands in the XML as base64 lies in the blobs under its hash, and the attachment names it."""
    counted = 0
    for path, found in everything:
        root = etree.parse(path, etree.XMLParser(huge_tree=True)).getroot()
        embedded = root.xpath(
            "//*[local-name()='EmbeddedDocumentBinaryObject' or local-name()='AttachmentBinaryObject']"
        )
        expected = [base64.b64decode(element.text) for element in embedded]
        named = [one for one in found.invoice.attachments if one.sha256]
        assert expected == [found.blobs[one.sha256] for one in named if one.sha256], path.name
        assert [len(blob) for blob in expected] == [one.size for one in named], path.name
        assert set(found.blobs) == {one.sha256 for one in named}, path.name
        counted += len(expected)
    assert counted == 7


def values(part: object) -> Iterator[object]:
    """Every single value of a dumped model."""
    if isinstance(part, dict):
        for value in part.values():
            yield from values(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from values(value)
    elif part is not None:
        yield part


def forms(text: str) -> set[Any]:
    """What a text may have become: itself, a number, a date, a flag, a remark without its subject."""
    found: set[Any] = {text, {"true": True, "false": False}.get(text, text)}
    try:
        found.add(Decimal(text))
    except InvalidOperation:
        found.add(text.rpartition("#")[2])
    for form in ("%Y-%m-%d", "%Y%m%d"):
        try:
            found.add(dt.datetime.strptime(text, form).date())  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    return found


def kept(text: str, held: set[object], long: str) -> bool:
    """Whether a text stands in the invoice."""
    return bool(forms(text) & held) or text in long


def test_every_element_of_the_examples_ends_up_in_the_invoice(everything: list[tuple[Path, Read]]) -> None:
    """No EN 16931 value vanishes: it is in the invoice, or on the short list above with the reason."""
    lost = []
    for path, found in everything:
        assert found.left_out == (), path.name
        held = set(values(found.invoice.model_dump()))
        long = "\n".join(value for value in held if isinstance(value, str))
        root = etree.parse(path, etree.XMLParser(huge_tree=True)).getroot()
        for element in root.iter(etree.Element):
            names = "/".join(etree.QName(e).localname for e in (*reversed([*element.iterancestors()]), element))
            text = (element.text or "").strip()
            is_embedded = names.endswith("BinaryObject")
            if text and not len(element) and not is_embedded and not kept(text, held, long):
                lost += [f"{path.name}: {names} {text}"] if not names.endswith(tuple(NOT_KEPT)) else []
            for attribute, stated in element.attrib.items():
                name = etree.QName(attribute).localname
                known = {name, *(f"{name} of {names[at:]}" for at in range(len(names)))} & ATTRIBUTES_NOT_KEPT.keys()
                if stated.strip() and not known and not kept(stated, held, long):
                    lost.append(f"{path.name}: {names}/@{name} {stated}")
    assert lost == []


def test_lines_that_do_not_multiply_are_doubts_and_no_refusal(everything: list[tuple[Path, Read]]) -> None:
    """Several official examples state line amounts that are not price times quantity; they are read and told."""
    doubted = {path.name: len(found.doubts) for path, found in everything if found.doubts}
    assert len(doubted) == 14
    assert doubted["guide-example2.xml"] == 1
    assert doubted["CII_example8.xml"] == 10
