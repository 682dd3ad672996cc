"""What is no invoice, or a broken or hostile one, is refused with its reasons, its place and the next step."""

from __future__ import annotations

import base64
import time
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfWriter

from fixtures.documents import DEMO
from fixtures.pdf import factur_x
from hub.sources import json as hub_json
from hub.sources import tables
from hub.sources.attachments import MAX_ATTACHMENTS
from hub.sources.read import Refused, read, read_bytes
from hub.sources.xml import MAX_BYTES

INVOICES = Path(__file__).resolve().parents[2] / "fixtures" / "invoices"
GOOD = (INVOICES / "RV-26-1001.xml").read_bytes()
GOOD_CII = (INVOICES / "RA-26-2002.xml").read_bytes()
MANIFOLD = next(doc for form, doc in DEMO if form == "pdf")


def refusal(content: bytes, name: str = "in.xml") -> Refused:
    """The refusal of these bytes."""
    with pytest.raises(Refused) as refused:
        read_bytes(content, name)
    return refused.value


@pytest.mark.parametrize(
    ("name", "place", "words"),
    [
        (
            "broken-totals.xml",
            "totals.without_tax",
            ["BR-CO-13", "BR-CO-15", "BR-CO-16", "6,200.00 USD", "6,020.00 USD"],
        ),
        ("bomb.xml", "line 2", ["DTD"]),
        ("stealing.xml", "line 2", ["DTD"]),
        ("truncated.xml", "line 115", ["half written"]),
        ("truncated.pdf", None, ["half written or cut off"]),
        ("empty.xml", None, ["empty"]),
        ("wrong-encoding.xml", "line 130", ["encoding", "UTF-8"]),
        ("page.html", "line 1", ["HTML page"]),
        ("unknown-type-code.xml", None, ["BT-3", "'999'"]),
        ("credit-as-invoice.xml", "line 5", ["380", "BT-3"]),
        ("missing-fields.xml", "number", ["BT-1", "cbc:ID", "BT-115", "cac:LegalMonetaryTotal/cbc:PayableAmount"]),
        ("no-numbers.xml", "line 8", ["line 143: Price/PriceAmount: '12,50'", "IssueDate: '10/05/2026'"]),
        ("minimum.pdf", "factur-x.xml inside, as a whole", ["minimum", "carries no lines"]),
        ("plain.pdf", None, ["no invoice XML", "factur-x.xml"]),
        ("misspelt.json", "issue_date", ["BT-2", "isue_date"]),
    ],
)
def test_each_refused_fixture_says_all_that_is_wrong(name: str, place: str | None, words: list[str]) -> None:
    """The message names the file and every reason; the place is the line or field of the first."""
    with pytest.raises(Refused) as refused:
        read(INVOICES / "refused" / name)
    assert refused.value.place == place
    assert [word for word in [name, *words] if word not in str(refused.value)] == []


def test_every_refused_fixture_is_tried() -> None:
    """No file lies there unread."""
    parameters = test_each_refused_fixture_says_all_that_is_wrong.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {name for name, _, _ in parameters} == {path.name for path in (INVOICES / "refused").iterdir()}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b" \n\t", ["empty"]),
        (b"\x00\x01\x02", ["no invoice", "begins with"]),
        (b"Invoice;Date\nRV-1;2026", ["no invoice", "begins with 'Invoice;Date"]),
        (b"<Order xmlns='urn:x'/>", ["'Order' (urn:x)", "line 1"]),
        (b"<a><b></a>\n", ["no well-formed XML", "line 1"]),
        (b"<html><br></html>", ["HTML page"]),
        (GOOD.replace(b"UTF-8", b"UTF-7"), ["encoding 'UTF-7'", "line 1"]),
        (GOOD.decode().encode("utf-16")[:-1], ["UTF-16"]),
        (b"<?xml version='1.0'?><!-- x --><!DOCTYPE a><a/>", ["DTD"]),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".encode("utf-16"), ["DTD"]),
        (b"<a>&b;</a>", ["no well-formed XML"]),
        (b"<a>" * 300 + b"</a>" * 300, ["depth"]),
        (GOOD + b"\n<more/>", ["cut off"]),
        (GOOD.replace(b'currencyID="USD">12.50<', b'currencyID="CAD">12.50<'), ["CAD", "USD", "BT-5", "line 143"]),
        (GOOD.replace(b">12.50<", b">1e5<"), ["PriceAmount: '1e5' is no number"]),
        (GOOD.replace(b">12.50<", b">NaN<"), ["PriceAmount: 'NaN' is no number"]),
        (GOOD.replace(b">12.50<", b">1_000<"), ["'1_000' is no number"]),
        (GOOD.replace(b">2026-10-05<", b">2026-02-30<"), ["IssueDate: '2026-02-30' is no date"]),
        (GOOD.replace(b">USD<", b">Dollar<"), ["BT-5", "'Dollar'"]),
        (GOOD.replace(b">US<", b">USA<"), ["BT-40", "'USA'", "line "]),
        (GOOD.replace(b"Cascadia Paper Group</cbc:Reg", b" </cbc:Reg"), ["BT-44"]),
        (GOOD.replace(b"cac:InvoiceLine", b"cac:OtherLine"), ["BG-25", "cac:InvoiceLine"]),
        (GOOD.replace(b"<cbc:ID>1</cbc:ID>", b""), ["BT-126", "line 1"]),
        (
            GOOD_CII.replace(b'format="102">20261022', b'format="610">202610'),
            ["IssueDate", "format 610", "DateTimeString"],
        ),
        (GOOD_CII.replace(b">20261022<", b">20261322<"), ["'20261322'"]),
        (GOOD_CII.replace(b">false<", b">no<"), ["Indicator: 'no' is neither true nor false"]),
    ],
)
def test_what_cannot_be_an_invoice_is_refused(content: bytes, words: list[str]) -> None:
    """Reason and place are named, in words that help."""
    assert [word for word in ["in.xml", *words] if word not in str(refusal(content))] == []


def test_every_problem_is_told_at_once() -> None:
    """A clerk corrects an invoice once, not once per message."""
    content = GOOD.replace(b">12.50<", b">x<").replace(b">2026-10-05<", b">y<").replace(b">200<", b">z<")
    assert str(refusal(content)).count("\n  - ") == 3


def test_a_file_name_cannot_write_to_the_terminal() -> None:
    """Control characters of a name are shown, not sent."""
    assert "\x1b" not in str(refusal(b"", "a\x1b[2J.xml"))


def test_a_comment_inside_a_value_changes_nothing() -> None:
    """A value is read whole; nobody sees one amount and pays another."""
    found = read_bytes(GOOD.replace(b">12.50<", b">12<!-- x -->.50<"), "x")
    assert str(found.invoice.lines[0].price) == "12.50"


def test_a_processing_instruction_and_utf_16_are_no_obstacle() -> None:
    """Harmless XML is read whatever its dress."""
    dressed = GOOD.decode().replace("?>", '?>\n<?xml-stylesheet href="x"?>', 1)
    assert read_bytes(dressed.encode("utf-16"), "x").invoice == read_bytes(GOOD, "x").invoice
    assert read_bytes(b"\xef\xbb\xbf" + GOOD, "x").invoice == read_bytes(GOOD, "x").invoice


def test_the_name_of_a_file_says_nothing() -> None:
    """A PDF called .xml is read as what it is."""
    pdf = (INVOICES / "RV-26-1006.pdf").read_bytes()
    assert [read_bytes(content, "a.json").format for content in (GOOD, GOOD_CII, pdf)] == ["ubl", "cii", "pdf"]


def embedding(content: bytes, name: str) -> bytes:
    """The good invoice with an attachment."""
    attachment = (
        "<cac:AdditionalDocumentReference><cbc:ID>1</cbc:ID><cac:Attachment><cbc:EmbeddedDocumentBinaryObject "
        f'mimeCode="application/pdf" filename="{name}">'.encode()
        + base64.encodebytes(content)
        + b"</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></cac:AdditionalDocumentReference>"
    )
    return GOOD.replace(b"  <cac:AccountingSupplierParty>", attachment + b"  <cac:AccountingSupplierParty>")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/cron.d/x", "x.pdf"),
        ("C:\\temp\\scan.pdf", "scan.pdf"),
        (".htaccess", "htaccess.pdf"),
        ("..", "attachment-1.pdf"),
        ("", "1.pdf"),
        ("a" * 300 + ".pdf", "a" * 180 + ".pdf"),
    ],
)
def test_the_path_in_an_attachments_name_is_dropped(name: str, kept: str) -> None:
    """Only the last part of a name is used, and it never begins with a dot."""
    assert [one.name for one in read_bytes(embedding(b"%PDF-", name), "x").invoice.attachments] == [kept]


@pytest.mark.parametrize("name", ["a&#10;b.pdf", "a&#x9b;b.pdf", "a&#x202e;fdp.exe"])
def test_an_attachments_name_with_control_characters_is_refused(name: str) -> None:
    """It could turn the line, the colour or the reading direction of whatever shows it."""
    assert "control characters" in str(refusal(embedding(b"%PDF-", name)))


def test_an_attachment_that_is_no_base64_is_refused() -> None:
    """Half an attachment is none."""
    cut = embedding(b"%PDF-", "a.pdf").replace(b"JVBERi0=", b"JVBERi0")
    assert "no base64" in str(refusal(cut))


def test_a_link_that_could_do_more_than_fetch_is_refused() -> None:
    """Only http, https, ftp and sftp links are taken."""
    link = (
        b"<cac:AdditionalDocumentReference><cbc:ID>1</cbc:ID><cac:Attachment><cac:ExternalReference><cbc:URI>%s"
        b"</cbc:URI></cac:ExternalReference></cac:Attachment></cac:AdditionalDocumentReference>"
    )
    with_link = GOOD.replace(b"  <cac:AccountingSupplierParty>", link + b"  <cac:AccountingSupplierParty>")
    assert "javascript:alert(1)" in str(refusal(with_link.replace(b"%s", b"javascript:alert(1)")))
    taken = read_bytes(with_link.replace(b"%s", b"https://ridgeline.example/1.pdf"), "x").invoice
    assert [one.url for one in taken.attachments] == ["https://ridgeline.example/1.pdf"]


def test_too_many_attachments_are_refused() -> None:
    """More than the cap is a mistake or an attack."""
    one = embedding(b"%PDF-", "a.pdf")
    start, end = one.index(b"<cac:AdditionalDoc"), one.index(b"  <cac:AccountingSupplierParty>")
    many = one[:start] + one[start:end] * (MAX_ATTACHMENTS + 1) + one[end:]
    assert f"more than {MAX_ATTACHMENTS} attachments" in str(refusal(many))


def test_an_attachment_of_more_than_ten_megabytes_of_text_is_read() -> None:
    """libxml2's own limit for one text is lifted under our cap."""
    content = b"%PDF-" + b"x" * 9_000_000
    found = read_bytes(embedding(content, "big.pdf"), "x")
    assert list(found.blobs.values()) == [content]


def test_a_file_over_the_cap_is_refused_before_it_is_parsed() -> None:
    """An XML of more than 20 MB costs no time."""
    started = time.monotonic()
    assert f"{MAX_BYTES:,}" in str(refusal(GOOD + b" " * MAX_BYTES))
    assert time.monotonic() - started < 1


def test_deep_nesting_in_a_large_file_is_refused() -> None:
    """Lifting the limit for long texts lifts none for depth."""
    deep = b"<a>" * 1000 + b"x" * 10_000_000 + b"</a>" * 1000
    assert "256 levels" in str(refusal(deep))


def test_sub_lines_within_sub_lines_end_somewhere() -> None:
    """Nesting that no invoice has is refused, not followed until the stack ends."""
    start = b"<cac:SubInvoiceLine>" * 100 + b"</cac:SubInvoiceLine>" * 100
    assert "nest deeper" in str(refusal(GOOD.replace(b"</cac:InvoiceLine>", start + b"</cac:InvoiceLine>", 1)))


def test_more_parts_than_any_invoice_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither XML nor JSON can fill the memory with small parts; what is wrong in thousands is only counted."""
    notes = GOOD.replace(b"<cbc:DocumentCurrency", b"<cbc:Note>a</cbc:Note>" * 100 + b"<cbc:DocumentCurrency", 1)
    objects, listed = (b'{"notes": [' + part * 99 + b"{}]}" for part in (b'{"text": "a"}, ', b"1, "))
    for module in (tables, hub_json):
        monkeypatch.setattr(module, "_MAX_PARTS", 60)
    for content in (notes, objects, listed):
        assert "more than" in str(refusal(content))
        assert "parts" in str(refusal(content))
    monkeypatch.setattr(tables, "_MAX_PARTS", 500_000)
    charge = b"<cac:AllowanceCharge><cbc:Amount>1</cbc:Amount></cac:AllowanceCharge>"
    wrong = GOOD.replace(b"<cac:Delivery>", charge * 10_001 + b"<cac:Delivery>")
    assert "10,001 fields are missing or wrong" in str(refusal(wrong))
    assert "10000 things are wrong" in str(refusal(wrong.replace(b"<cbc:Amount>1<", b"<cbc:Amount>x<")))


def test_a_prolog_of_many_comments_takes_linear_time() -> None:
    """The search for a DTD does not try every way to group comments."""
    started = time.monotonic()
    refusal(b"<!-- a -->" * 20_000 + b"<!-- " * 20_000)
    assert time.monotonic() - started < 2


def pdf_with(stream: bytes, names: bytes = b"(factur-x.xml)6 0 R", extra: bytes = b"") -> bytes:
    """Our Factur-X file with another embedded stream object."""
    content = factur_x(MANIFOLD)
    start = content.index(b"7 0 obj")
    end = content.index(b"8 0 obj")
    changed = content[:start] + b"7 0 obj\n" + stream + b"\nendobj\n" + content[end:]
    return changed.replace(b"(factur-x.xml)6 0 R", names, 1).replace(b"trailer\n<<", b"trailer\n<<" + extra)


def flate(content: bytes, times: int = 1) -> bytes:
    """An embedded file, compressed so many times."""
    for _ in range(times):
        content = zlib.compress(content, 9)
    filters = b"/FlateDecode " * times
    return b"<</Type/EmbeddedFile/Filter[%s]/Length %d>>\nstream\n%s\nendstream" % (filters, len(content), content)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_bomb_in_a_pdf_is_refused_within_its_cap(times: int) -> None:
    """A stream of 300 MB, packed small, is not unpacked."""
    bomb = pdf_with(flate(b" " * 300_000_000, times))
    assert len(bomb) < 400_000
    tracemalloc.start()
    said = str(refusal(bomb, "bomb.pdf"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "unfolds to more than 20,000,000 bytes" in said
    assert peak < 100_000_000


def test_a_compressed_invoice_in_a_pdf_is_read() -> None:
    """What real producers write: the same XML, compressed."""
    xml = (INVOICES / "RA-26-2002.xml").read_bytes()
    found = read_bytes(pdf_with(flate(xml)), "a.pdf")
    assert (found.invoice.number, found.format) == ("RA-26-2002", "pdf")


def test_a_pdf_with_two_invoices_is_refused() -> None:
    """Which one is meant is never guessed."""
    two = pdf_with(flate(GOOD_CII), b"(factur-x.xml)6 0 R(xrechnung.xml)9 0 R").replace(
        b"xref\n",
        b"9 0 obj\n<</Type/Filespec/F(xrechnung.xml)/UF(xrechnung.xml)/EF<</F 7 0 R>>>>\nendobj\nxref\n",
        1,
    )
    assert "more than one invoice XML" in str(refusal(two, "two.pdf"))


@pytest.mark.parametrize("algorithm", ["RC4-128", "broken"])
def test_an_encrypted_pdf_is_refused(algorithm: str) -> None:
    """With a password or an empty one, readable or not."""
    if algorithm == "broken":
        content = pdf_with(flate(GOOD_CII), extra=b"/Encrypt 5 0 R")
    else:
        writer = PdfWriter(clone_from=BytesIO(factur_x(MANIFOLD)))
        writer.encrypt("", "owner", algorithm=algorithm)
        written = BytesIO()
        writer.write(written)
        content = written.getvalue()
    assert "encrypted" in str(refusal(content, "locked.pdf"))


@pytest.mark.parametrize("cut", range(0, 9000, 611))
def test_a_pdf_cut_anywhere_is_refused_or_whole(cut: int) -> None:
    """Pypdf's own errors never come through."""
    content = factur_x(MANIFOLD)[:cut]
    if cut:
        refusal(content, "cut.pdf")


@pytest.mark.parametrize("at", range(0, len(GOOD), 397))
def test_an_xml_cut_anywhere_is_refused_as_such(at: int) -> None:
    """A half-written file is told from a wrong one."""
    said = str(refusal(GOOD[:at]))
    assert "cut off" in said or "empty" in said


def test_a_file_that_is_not_there_is_no_refusal(tmp_path: Path) -> None:
    """Whoever asked for it made the mistake, not the sender."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.xml")
