from __future__ import annotations

import hashlib

import pytest
from ariba_samples import (
    AS_HEADER,
    BUYER,
    BY_ID,
    BY_PAYLOAD,
    ONE_LINE,
    OTHER,
    PATH,
    PROFILE,
    STRICT,
    SUMMARISED,
    SUPPLIER,
    TAX_ID,
    XML,
    ask,
    config,
    invoice,
    send,
)

from hub.simulators.client import Simulator

ATTACHED = '<Comments xml:lang="en">see file<Attachment><URL>cid:a1@x.example</URL></Attachment></Comments>'
RELATED = 'multipart/related; boundary="bb"; type="text/xml"; start="<root@x>"'


def multipart(
    document: bytes, *, name: str = "sheet.pdf", cid: str = "a1@x.example", content: str = "JVBERi0="
) -> bytes:
    head = f"--bb\r\nContent-Type: {XML}\r\nContent-ID: <root@x>\r\n\r\n".encode()
    part = (
        f'\r\n--bb\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="{name}"\r\n'
        f"Content-ID: <{cid}>\r\nContent-Transfer-Encoding: base64\r\n\r\n{content}\r\n--bb--\r\n"
    )
    return head + document + part.encode()


def test_a_sound_invoice_is_taken_and_kept_as_it_came(sim: Simulator) -> None:
    """HTTP 200 with cXML 200; number, buyer, payloadID, totals and the very bytes are kept, with status Sent."""
    document = invoice("INV-7")
    answer = send(sim, document)
    (kept,) = sim.documents(raw=True)
    assert (200, 200) == (answer.http, answer.code)
    expected = {
        "number": "INV-7",
        "supplier": SUPPLIER,
        "buyer": BUYER,
        "payload_id": "INV-7@supplier.example",
        "orders": ["4500000001"],
        "currency": "USD",
        "total": "125.00",
        "tax": "0.00",
        "status": "Sent",
        "body_sha256": hashlib.sha256(document).hexdigest(),
    }
    assert expected == {key: kept[key] for key in expected}
    assert ["Content-Type", XML] in kept["headers"]


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [("GET", XML, 405), ("PUT", XML, 405), ("POST", "application/json", 415), ("POST", "", 415)],
)
def test_what_is_no_cxml_post_gets_a_web_page(sim: Simulator, method: str, content_type: str, status: int) -> None:
    """A wrong method or media type is refused at the HTTP level, without any cXML."""
    answer = ask(sim.url, method, PATH, invoice(), {"Content-Type": content_type})
    assert (status, None, b"<!DOCTYPE html>") == (answer.http, answer.code, answer.body[:15])
    assert [] == sim.documents()


DOCTYPE = '<!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.069/InvoiceDetail.dtd"'
ITEM = '<InvoiceDetailItemReference lineNumber="10"/>'
UNIT = "<UnitOfMeasure>EA</UnitOfMeasure>"
FROM = f'<From><Credential domain="NetworkID"><Identity>{SUPPLIER}'
SENDER = f'<Sender><Credential domain="NetworkID"><Identity>{SUPPLIER}'
LINE = 'lineNumber="10"/>\n<SubtotalAmount><Money currency="USD">125.00'
NET = '<NetAmount><Money currency="USD">125.00'
DUE = '<DueAmount><Money currency="USD">125.00'
HEADER_END = "</InvoiceDetailRequestHeader>"


def other(text: str, *pairs: str) -> dict[str, str]:
    """A swap of `text` for itself with the old parts replaced by new ones: old, new, old, new."""
    changed = text
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        changed = changed.replace(old, new)
    return {text: changed}


NOTHING = (
    '<InvoiceDetailItem invoiceLineNumber="1" quantity="0"><UnitOfMeasure>EA</UnitOfMeasure>'
    '<UnitPrice><Money currency="USD">12.50</Money></UnitPrice><InvoiceDetailItemReference lineNumber="10"/>'
    "</InvoiceDetailItem>"
)


def shipped(*roles: str) -> str:
    contacts = "".join(f'<Contact role="{role}"><Name xml:lang="en">x</Name></Contact>' for role in roles)
    return f"</InvoicePartner><InvoiceDetailShipping>{contacts}</InvoiceDetailShipping>"


CREDIT = other('purpose="standard"', "standard", "lineLevelCreditMemo")
HEADER_CREDIT = other('purpose="standard"', "standard", "creditMemo")
TAXED = {"LineIndicator/>": 'LineIndicator isTaxInLine="yes"/>', ">0.00<": ">5.00<"}
# What is changed in a sound invoice → the cXML status and words of the answer.
REFUSED = {
    "not well formed": ({"</cXML>": ""}, 406, "not well formed"),
    "internal subset": ({f"{DOCTYPE}>": f'{DOCTYPE} [<!ENTITY a "b">]>'}, 406, "internal subset"),
    "no document type": ({f"{DOCTYPE}>": ""}, 406, "no cXML version"),
    "not cXML": ({"<cXML ": "<xml ", "</cXML>": "</xml>"}, 406, "not cXML"),
    "no payloadID": ({'payloadID="INV-1@supplier.example"': 'payloadID=" "'}, 406, "payloadID"),
    "no zone": ({"10:15:30-06:00": "10:15:30"}, 406, "cXML@timestamp"),
    "newer than its DTD": ({'version="1.2.069"': 'version="1.2.070"'}, 406, "cXML@version"),
    "production with -T": ({' deploymentMode="test"': ""}, 400, "deploymentMode"),
    "wrong secret": ({"s3-0": "s3-1"}, 401, "Invalid or unrecognized sender credentials"),
    "unknown sender": (other(SENDER, SUPPLIER, BUYER), 401, "ANERR-"),
    "sent for another": (other(FROM, SUPPLIER, OTHER), 401, "ANERR-"),
    "another domain": (other('<To><Credential domain="NetworkID"', "NetworkID", "DUNS"), 406, "Header/To"),
    "no relationship": ({BUYER: "AN01000000499-T"}, 403, "No trading relationship"),
    "another request": ({"InvoiceDetailRequest>": "OrderRequest>"}, 450, "OrderRequest"),
    "wrong order": ({f"{UNIT}\n": "", ITEM: f"{UNIT}{ITEM}"}, 406, "InvoiceDetailItem holds (UnitPrice, UnitOfMeasure"),
    "missing child": ({'<Description xml:lang="en"/>': ""}, 406, "Tax holds (Money) where"),
    "missing attribute": (other(ITEM, ' lineNumber="10"', ""), 406, "lacks the attribute lineNumber"),
    "unknown attribute": (other(ITEM, "/>", ' colour="red"/>'), 406, "has no attribute colour"),
    "unknown value": (other('purpose="standard"', "standard", "refund"), 406, "purpose is 'refund'"),
    "unknown element": ({ITEM: f"{ITEM}<Surprise/>"}, 406, "Surprise"),
    "text between": ({ITEM: f"{ITEM}!"}, 406, "holds text"),
    "no number": ({'invoiceID="INV-1"': 'invoiceID=" "'}, 400, "INVOICE_NO_ID"),
    "two currencies": (other(DUE, "USD", "EUR"), 400, "only one currency"),
    "no currency": ({'"USD"': '"USX"'}, 400, "no ISO 4217 code"),
    "thousands separator": (other(DUE, "125.00", "1,125.00"), 400, "not a plain decimal number"),
    "header with lines": (other("HeaderIndicator/>", "/", ' isHeaderInvoice="yes"/'), 400, "SUMMARY_AND_DETAIL"),
    "summary without header": (SUMMARISED, 400, "DETAIL_AND_SUMMARY"),
    "line credit as header": (SUMMARISED | AS_HEADER | CREDIT, 400, "INV-PURPOSE"),
    "header credit that is due": (
        SUMMARISED | AS_HEADER | HEADER_CREDIT,
        400,
        "INV-SIGN: DueAmount is 125.00",
    ),
    "header credit that says nothing": (
        SUMMARISED
        | AS_HEADER
        | other('purpose="standard"', "standard", "creditMemo")
        | {f"{DUE}</Money></DueAmount>": ""},
        400,
        "must state its DueAmount",
    ),
    "accounting in a header": (
        SUMMARISED | AS_HEADER | {"LineIndicator/>": 'LineIndicator isAccountingInLine="yes"/>'},
        400,
        "INV-ACCOUNTING",
    ),
    "line number twice": ({ONE_LINE: f"{NOTHING}{ONE_LINE}"}, 400, "INV-LINE_NUMBER"),
    "shipping to nobody": ({"</InvoicePartner>": shipped("shipFrom", "carrierCorporate")}, 400, "INV_ROLE_IN_SHIPPING"),
    "shipping by a buyer": ({"</InvoicePartner>": shipped("shipFrom", "shipTo", "buyer")}, 400, "role 'buyer'"),
    "shipping in both": (
        {
            "</InvoicePartner>": shipped("shipFrom", "shipTo"),
            "LineIndicator/>": 'LineIndicator isShippingInLine="yes"/>',
        },
        400,
        "SHIPPING_IN_LINE_ERROR",
    ),
    "gross": (
        {"</Tax>": '</Tax><GrossAmount><Money currency="USD">126.00</Money></GrossAmount>'},
        400,
        "GROSS is 126.00",
    ),
    "dated ahead": ({"09:00:00-06:00": "10:30:00-06:00"}, 400, "INV-DATE"),
    "line subtotal": (other(LINE, "125.00", "125.03"), 400, "SUBTOTAL of line 1"),
    "subtotal": ({'quantity="10"': 'quantity="9"', **other(LINE, "125.00", "112.50")}, 400, "SUBTOTAL is 125.00"),
    "net": (other(NET, "125.00", "124.00"), 400, "NET is 124.00"),
    "due": (other(DUE, "125.00", "124.00"), 400, "DUE is 124.00"),
    "tax not in lines": (TAXED | other(NET, "125", "130") | other(DUE, "125", "130"), 400, "TAX is 5.00"),
    "credit of nothing": (CREDIT, 400, "INV-ORIGINAL"),
    "credit not negative": (
        CREDIT | {"</InvoicePartner>": '</InvoicePartner><DocumentReference payloadID="x"/>'},
        400,
        "INV-SIGN",
    ),
    "order unknown by payload": ({"po-1@buyer.example": "po-9@buyer.example"}, 417, "Order not found"),
    "order id of another": ({'orderID="4500000001"': 'orderID="4500000002"'}, 417, "not 4500000002"),
    "order unknown by id": ({BY_PAYLOAD: '<OrderIDInfo orderID="99"/>'}, 417, "INV-15"),
    "order date rewritten": ({BY_PAYLOAD: BY_ID.replace("08:00:00-06:00", "14:00:00Z")}, 417, "is dated 2026-02-01T08"),
    "order line unknown": (other(ITEM, "10", "30"), 417, "no line 30"),
    "currency of the order": ({'"USD"': '"CAD"'}, 400, "order 4500000001 in USD"),
    "cid without part": ({HEADER_END: f"{ATTACHED}{HEADER_END}"}, 400, "matches 0 parts"),
    "foreign attachment": ({HEADER_END: f"{ATTACHED}{HEADER_END}".replace("cid:", "http:")}, 400, "not a cid: URL"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_in_cxml_and_not_kept(sim: Simulator, case: str) -> None:
    """Each fault of a document has its status and its words inside HTTP 200, and leaves nothing behind."""
    swap, code, words = REFUSED[case]
    answer = send(sim, invoice(swap=swap))
    assert (200, code) == (answer.http, answer.code), answer.text
    assert words in answer.text
    assert [] == sim.documents()


def test_the_first_check_that_fails_answers(sim: Simulator) -> None:
    """Credentials come before structure, structure before meaning, meaning before orders."""
    wrong = {"s3-0": "no", ' lineNumber="10"': "", '"USD"': '"USX"', "po-1@": "po-9@"}
    codes = []
    for solved in (*wrong, None):
        codes.append(send(sim, invoice(swap=wrong)).code)
        wrong.pop(solved, None)
    assert codes == [401, 406, 400, 417, 200]


@pytest.mark.parametrize(
    "bomb",
    [
        b'<!DOCTYPE a SYSTEM "x>" [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a/>'.encode(
            "utf-16"
        ),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a +AFsAXQA+-<a/>',
        b"<a>" * 10_000,
        b"",
    ],
    ids=["entities behind a quoted >", "UTF-16", "UTF-7", "deep", "empty"],
)
def test_hostile_xml_is_not_acceptable(sim: Simulator, bomb: bytes) -> None:
    """No document defines entities, hides them in another encoding, or nests without end."""
    assert (200, 406) == ((answer := send(sim, bomb)).http, answer.code)


def test_cents_of_rounding_are_allowed(sim: Simulator) -> None:
    """Sums may differ by two cents."""
    assert 200 == send(sim, invoice(swap=other(LINE, "125.00", "125.02"))).code


def test_a_summarised_invoice_is_taken(sim: Simulator) -> None:
    """With isHeaderInvoice the orders come without lines."""
    assert 200 == send(sim, invoice(swap=SUMMARISED | AS_HEADER)).code


def test_a_price_may_be_for_several_units(sim: Simulator) -> None:
    """1250.00 for a hundred pieces is the order's 12.50 for one."""
    basis = '</UnitPrice><PriceBasisQuantity quantity="100" conversionFactor="1"><UnitOfMeasure>EA</UnitOfMeasure>'
    swap = {"12.50": "1250.00", "</UnitPrice>": f"{basis}</PriceBasisQuantity>"}
    assert "" == send(sim, invoice(swap=swap)).text


def test_a_profile_request_tells_where_documents_go(sim: Simulator) -> None:
    """The profile names this address for invoices, and needs the same credentials."""
    answer = send(sim, PROFILE)
    assert 200 == answer.code
    assert f'<Transaction requestName="InvoiceDetailRequest"><URL>{sim.url}{PATH}</URL>'.encode() in answer.body
    assert 401 == send(sim, PROFILE.replace(b"s3-0", b"s3-9")).code


@pytest.mark.parametrize("kind", [RELATED, RELATED.replace("related", "mixed")])
def test_attachments_come_along(sim: Simulator, kind: str) -> None:
    """A multipart is opened, its attachment decoded, and the buyer's rules are kept."""
    document = multipart(invoice(buyer=STRICT, tax_id=TAX_ID, header_end=ATTACHED))
    assert 200 == send(sim, document, kind).code
    (kept,) = sim.documents()
    assert "Sent" == kept["status"]
    assert [
        {
            "content_id": "a1@x.example",
            "name": "sheet.pdf",
            "media_type": "application/pdf",
            "size": 5,
            "sha256": hashlib.sha256(b"%PDF-").hexdigest(),
        }
    ] == kept["attachments"]


MULTIPART = {
    "unnamed part": ({"cid": "a2@x.example"}, {}, 400, "matches 0 parts"),
    "executable": ({"name": "run.EXE"}, {}, 400, "executable"),
    "executable with a dot behind": ({"name": "run.bin."}, {}, 400, "executable"),
    "path in the name": ({"name": "../../sheet.pdf"}, {}, 400, "no path"),
    "no base64": ({"content": "JVB*Ri0="}, {}, 406, "base64"),
    "line feeds only": ({}, {b"\r\n": b"\n"}, 406, "CRLF"),
    "never closed": ({}, {b"--bb--": b""}, 406, "do not open and close"),
    "part not referred to": ({}, {ATTACHED.encode(): b""}, 400, "referred to by no Attachment"),
    "cid twice": ({}, {b"--bb--": b"--bb\r\nContent-ID: <a1@x.example>\r\n\r\nx\r\n--bb--"}, 400, "matches 2 parts"),
    "no such start": ({}, {b"<root@x>": b"<toor@x>"}, 406, "as its start"),
    "too large": ({"content": "A" * 4096}, {}, 499, "more than 2000"),
}


@pytest.fixture(scope="module")
def small() -> object:
    with Simulator.start(config(max_attachment_bytes=2000, max_body_bytes=20_000)) as sim:
        yield sim


@pytest.mark.parametrize("case", MULTIPART)
def test_a_multipart_that_is_not_right_is_refused(small: Simulator, case: str) -> None:
    """Boundaries, content ids, coding, names and sizes are checked."""
    changes, swap, code, words = MULTIPART[case]
    body = multipart(invoice(header_end=ATTACHED), **changes)
    for old, new in swap.items():
        assert old in body
        body = body.replace(old, new)
    answer = send(small, body, RELATED)
    assert (200, code, True) == (answer.http, answer.code, words in answer.text), answer.text
    assert [] == small.documents()


def test_a_body_that_is_too_large_is_refused_by_the_web_server(small: Simulator) -> None:
    """HTTP 413 with a page, before anything is parsed."""
    answer = send(small, invoice().replace(b"Test 1", b"x" * 30_000))
    assert (413, None) == (answer.http, answer.code)
