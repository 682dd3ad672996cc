"""The project's own invoices: made by a script, and each read as it was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from fixtures.cast import Document
from fixtures.cii import cii
from fixtures.documents import DEMO, OTHER
from fixtures.pdf import factur_x
from fixtures.ubl import ubl
from hub.contract.invoice import AttachmentType, Invoice, Kind
from hub.sources.read import read, read_bytes

ROOT = Path(__file__).resolve().parents[2]
INVOICES = ROOT / "fixtures" / "invoices"
DOCUMENTS = [doc for _, doc in (*DEMO, *OTHER.values())]


def below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_making_the_fixtures_anew_gives_the_same_bytes(tmp_path: Path) -> None:
    """The script is deterministic, in another time zone, locale and hash seed too, and no file was edited by hand."""
    changed = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-m", "fixtures.make", str(tmp_path)], cwd=ROOT, env=changed, check=True)
    assert below(tmp_path) == below(INVOICES)


def test_the_readme_tells_where_every_fixture_comes_from() -> None:
    """Each file of ours is named in the provenance."""
    readme = (ROOT / "fixtures" / "README.md").read_text()
    assert [name for name in below(INVOICES) if f"`{name}`" not in readme] == []


@pytest.mark.parametrize(("form", "doc"), DEMO, ids=[doc.number for _, doc in DEMO])
def test_each_demo_invoice_is_read_as_it_was_meant(form: str, doc: Document) -> None:
    """Number, kind, amount, lines, order, units: nothing is left out or doubted."""
    ending = "pdf" if form == "pdf" else "xml"
    found = read(INVOICES / f"{doc.number}.{ending}")
    invoice = found.invoice
    assert (form, (), ()) == (found.format, found.left_out, found.doubts)
    assert (doc.number, doc.payable, doc.currency) == (invoice.number, *invoice.payable)
    assert (Kind.CREDIT if doc.type_code == "381" else Kind.INVOICE) == invoice.kind
    assert ({doc.order} - {""}) == set(invoice.order_numbers)
    assert doc.ordered == invoice.order_date
    assert (doc.seller.vat_id, doc.seller.tax_id) == (invoice.seller.vat_id or "", invoice.seller.tax_id or "")
    assert [(one.quantity, doc.unit, one.price, one.net, one.sku, one.order_line) for one in doc.items] == [
        (one.quantity, one.unit, one.price, one.net, one.seller_item_id or "", one.order_line or "")
        for one in invoice.lines
    ]


def told(invoice: Invoice) -> dict[str, object]:
    """What both syntaxes say of an invoice, without what only one of them can."""
    told = invoice.model_dump(exclude={"specification", "lines", "payment", "taxes"})
    lines = [line.model_dump(exclude={"taxes"}) for line in invoice.lines]
    rates = [[(tax.category, tax.rate, tax.kind) for tax in line.taxes] for line in invoice.lines]
    taxes = [tax.model_dump() for tax in invoice.taxes]
    accounts = [account.account for account in invoice.payment.accounts] if invoice.payment else []
    return {**told, "lines": lines, "rates": rates, "taxes": taxes, "accounts": accounts}


@pytest.mark.parametrize(
    "doc", [doc for doc in DOCUMENTS if not doc.enclosed and not doc.withheld], ids=lambda doc: doc.number
)
def test_one_invoice_is_the_same_in_every_syntax(doc: Document) -> None:
    """UBL, CII and Factur-X of one document give the same invoice."""
    from_ubl, from_cii, from_pdf = (read_bytes(write(doc), "x").invoice for write in (ubl, cii, factur_x))
    assert told(from_ubl) == told(from_cii)
    assert told(from_cii) == told(from_pdf.model_copy(update={"attachments": ()}))


def test_state_and_county_tax_are_two_taxes_of_document_and_line() -> None:
    """Each has its own rate, amount and place."""
    invoice = read(INVOICES / "RV-26-1003.xml").invoice
    expected = [("sales", "2.9", "142.68", "Colorado"), ("sales", "1", "49.20", "Pueblo County")]
    assert expected == [(tax.kind, str(tax.rate), str(tax.amount), tax.location) for tax in invoice.taxes]
    assert expected == [(tax.kind, str(tax.rate), str(tax.amount), tax.location) for tax in invoice.lines[0].taxes]


def test_a_factur_x_pdf_is_its_own_invoice_image() -> None:
    """The PDF is kept whole, as an attachment of type invoice image."""
    content = (INVOICES / "RV-26-1006.pdf").read_bytes()
    found = read_bytes(content, "inbox/..\\RV-26-1006.pdf")
    [image] = found.invoice.attachments
    assert (image.name, image.type, image.media_type) == (
        "RV-26-1006.pdf",
        AttachmentType.INVOICE_IMAGE,
        "application/pdf",
    )
    assert image.sha256 == found.source_sha256
    assert {image.sha256: content} == dict(found.blobs)


def test_our_factur_x_files_have_the_structure_of_the_specification() -> None:
    """Associated file, name tree and XMP all name factur-x.xml (Factur-X 1.0, 6.2), and the page is readable."""
    pdf = PdfReader(BytesIO((INVOICES / "RV-26-1006.pdf").read_bytes()), strict=True)
    catalog = pdf.root_object
    assert catalog["/AF"][0]["/UF"] == "factur-x.xml"  # type: ignore[index]
    assert list(pdf.attachments) == ["factur-x.xml"]
    assert pdf.xmp_metadata is not None
    assert b"<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>" in pdf.xmp_metadata.stream.get_data()
    assert "RV-26-1006" in pdf.pages[0].extract_text()


def test_an_embedded_timesheet_is_told_and_kept() -> None:
    """Its description says what it is, in our words."""
    found = read(INVOICES / "RV-26-3001.xml")
    [timesheet] = found.invoice.attachments
    assert (timesheet.type, timesheet.name) == (AttachmentType.TIMESHEET, "timesheet-TS-26-0417.pdf")
    assert found.blobs[timesheet.sha256 or ""].startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("name", "kind", "preceding"),
    [
        ("corrected-384.xml", Kind.INVOICE, ["RV-26-1001"]),
        ("self-billed-389.xml", Kind.INVOICE, []),
        ("debit-note-383.xml", Kind.DEBIT, ["RV-26-1001"]),
        ("credit-note-381.xml", Kind.CREDIT, ["RV-26-1001"]),
        ("prepayment-386.xml", Kind.INVOICE, []),
        ("partial-326.xml", Kind.INVOICE, []),
        ("zugferd.pdf", Kind.INVOICE, []),
        ("hub.json", Kind.INVOICE, []),
    ],
)
def test_other_kinds_of_document_are_told_by_their_type_code(name: str, kind: Kind, preceding: list[str]) -> None:
    """Credits and debits are told from invoices, and name the invoice they belong to."""
    invoice = read(INVOICES / "other" / name).invoice
    assert (kind, preceding) == (invoice.kind, [reference.number for reference in invoice.preceding])


def test_a_withholding_tax_is_taken_off_what_is_due() -> None:
    """UBL's WithholdingTaxTotal is a tax that reduces the amount due."""
    invoice = read(INVOICES / "other" / "withheld.xml").invoice
    assert str(invoice.totals.withheld) == "344.40"
    assert [(tax.withholding, str(tax.amount)) for tax in invoice.taxes] == [(False, "142.68"), (True, "344.40")]


def test_a_credit_notes_due_date_stands_with_its_payment_means() -> None:
    """UBL CreditNotes have no DueDate of their own."""
    invoice = read(INVOICES / "other" / "credit-note-381.xml").invoice
    assert (invoice.due_date and invoice.due_date.isoformat()) == "2026-12-13"
