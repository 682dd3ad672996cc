from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ariba_samples import (
    BUYER,
    BY_ID,
    BY_PAYLOAD,
    LOOSE,
    NO_ORDER,
    OTHER,
    PATH,
    PROFILE,
    STRICT,
    SUPPLIER,
    TAX_ID,
    XML,
    ask,
    config,
    invoice,
    send,
)

from hub.simulators.ariba.answers import Refusal
from hub.simulators.ariba.config import load
from hub.simulators.ariba.envelope import envelope, parsed
from hub.simulators.ariba.invoice import read
from hub.simulators.ariba.network import Incoming, Network
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
    assert (answer.http, answer.code) == (200, 200)
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
    assert {key: kept[key] for key in expected} == expected
    assert ["Content-Type", XML] in kept["headers"]


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [("GET", XML, 405), ("PUT", XML, 405), ("POST", "application/json", 415), ("POST", "", 415)],
)
def test_what_is_no_cxml_post_gets_a_web_page(sim: Simulator, method: str, content_type: str, status: int) -> None:
    """A wrong method or media type is refused at the HTTP level, without any cXML."""
    answer = ask(sim.url, method, PATH, invoice(), {"Content-Type": content_type})
    assert (status, None, b"<!DOCTYPE html>") == (answer.http, answer.code, answer.body[:15])
    assert sim.documents() == []


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


ONE_LINE = (
    '<InvoiceDetailItem invoiceLineNumber="1" quantity="10"><UnitOfMeasure>EA</UnitOfMeasure>\n'
    '<UnitPrice><Money currency="USD">12.50</Money></UnitPrice><InvoiceDetailItemReference lineNumber="10"/>'
)
SUMMARISED = {
    "<InvoiceDetailOrder>": "<InvoiceDetailHeaderOrder>",
    ONE_LINE: '<InvoiceDetailOrderSummary invoiceLineNumber="1">',
    "</InvoiceDetailItem></InvoiceDetailOrder>": "</InvoiceDetailOrderSummary></InvoiceDetailHeaderOrder>",
}
AS_HEADER = {"HeaderIndicator/>": 'HeaderIndicator isHeaderInvoice="yes"/>'}
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
    assert sim.documents() == []


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
    assert ((answer := send(sim, bomb)).http, answer.code) == (200, 406)


def test_cents_of_rounding_are_allowed(sim: Simulator) -> None:
    """Sums may differ by two cents."""
    assert send(sim, invoice(swap=other(LINE, "125.00", "125.02"))).code == 200


def test_a_summarised_invoice_is_taken(sim: Simulator) -> None:
    """With isHeaderInvoice the orders come without lines."""
    assert send(sim, invoice(swap=SUMMARISED | AS_HEADER)).code == 200


def test_a_price_may_be_for_several_units(sim: Simulator) -> None:
    """1250.00 for a hundred pieces is the order's 12.50 for one."""
    basis = '</UnitPrice><PriceBasisQuantity quantity="100" conversionFactor="1"><UnitOfMeasure>EA</UnitOfMeasure>'
    swap = {"12.50": "1250.00", "</UnitPrice>": f"{basis}</PriceBasisQuantity>"}
    assert send(sim, invoice(swap=swap)).text == ""


def test_a_profile_request_tells_where_documents_go(sim: Simulator) -> None:
    """The profile names this address for invoices, and needs the same credentials."""
    answer = send(sim, PROFILE)
    assert answer.code == 200
    assert f'<Transaction requestName="InvoiceDetailRequest"><URL>{sim.url}{PATH}</URL>'.encode() in answer.body
    assert send(sim, PROFILE.replace(b"s3-0", b"s3-9")).code == 401


@pytest.mark.parametrize("number", ["INV-1", " inv-1 "])
def test_a_number_is_taken_once(sim: Simulator, number: str) -> None:
    """The same number, in whatever case and with whatever spaces, is a duplicate for this buyer and no other."""
    assert send(sim, invoice()).code == 200
    again = send(sim, invoice(number, payload="second@supplier.example"))
    assert (again.http, again.code, "INVOICE_DUPLICATE" in again.text) == (200, 409, True)
    assert send(sim, invoice(number, payload="third@supplier.example", buyer=LOOSE)).code == 200
    assert len(sim.documents()) == 2


def test_the_same_bytes_are_taken_once(sim: Simulator) -> None:
    """A repeated payloadID is a duplicate, even when the first one used the order up."""
    document = invoice(quantity="100", total="1250.00")
    assert [send(sim, document).code, send(sim, document).code] == [200, 409]


def test_two_at_once_with_one_number_leave_one(sim: Simulator) -> None:
    """However they race, exactly one of several documents of one number is kept."""
    documents = [invoice("INV-R", payload=f"{i}@race.example") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda document: send(sim, document).code, documents))
    assert [200, *[409] * 7] == sorted(codes)
    assert len(sim.documents()) == 1


def test_taking_in_is_one_step(tmp_path: Path) -> None:
    """Threads that are switched at every chance still leave one document of each number, within the order."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config()))
    network = Network(load(file), settle=0)
    supplier, buyer = network.config.suppliers[0], network.config.buyers[0]
    request = envelope(parsed(invoice(quantity="1", total="12.50"))).request
    read_once = read(request)

    def store(i: int) -> bool:
        numbered = dataclasses.replace(read_once, number=f"INV-{i // 4}")
        try:
            network.store(Incoming(supplier, buyer, f"{i}@x.example", numbered, (), (), b""))
        except Refusal:
            return False
        return True

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(store, range(600)))
    finally:
        sys.setswitchinterval(before)
    numbers = [document.invoice.number for document in network.documents]
    assert sum(taken) == len(numbers) == len(set(numbers)) == 100


def test_a_number_is_free_again_where_the_buyer_says_so(sim: Simulator) -> None:
    """After a refusal the number may be used again at one buyer, and not at the other."""
    codes = {}
    for buyer in (BUYER, LOOSE):
        send(sim, invoice(payload=f"1@{buyer}", buyer=buyer))
        sim.reject("INV-1", "wrong price", buyer=buyer)
        codes[buyer] = send(sim, invoice(payload=f"2@{buyer}", buyer=buyer)).code
    assert codes == {BUYER: 409, LOOSE: 200}


def test_no_more_is_invoiced_than_was_ordered(sim: Simulator) -> None:
    """Beyond what is left of an order line comes 500 with a reference number; a refused invoice gives its part back."""
    assert send(sim, invoice("INV-1", quantity="60", total="750.00")).code == 200
    assert send(sim, invoice("INV-2", quantity="40", total="500.00")).code == 200
    over = send(sim, invoice("INV-3", quantity="1", total="12.50"))
    assert (over.http, over.code) == (200, 500)
    assert over.text.startswith("Error:null Please contact support with the Error Reference Number: ANERR-")
    sim.fail("INV-2", "broke a rule")
    assert send(sim, invoice("INV-3", quantity="40", total="500.00")).code == 200
    assert send(sim, invoice("INV-4", quantity="1", total="12.50")).code == 500


def test_no_more_money_is_invoiced_than_was_ordered(sim: Simulator) -> None:
    """Without quantities the order's total is the limit."""
    header = SUMMARISED | AS_HEADER
    assert send(sim, invoice("INV-1", total="2000.00", swap=header)).code == 200
    assert send(sim, invoice("INV-2", total="50.01", swap=header)).code == 500
    assert send(sim, invoice("INV-3", total="50.00", swap=header)).code == 200


def test_a_credit_gives_quantity_back(sim: Simulator) -> None:
    """After a credit of 40 pieces, 40 can be invoiced again."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    credit = invoice(
        "CR-1", quantity="-40", total="-500.00", purpose="lineLevelCreditMemo", original="INV-1@supplier.example"
    )
    assert send(sim, credit).code == 200
    assert send(sim, invoice("INV-2", quantity="40", total="500.00")).code == 200
    assert send(sim, invoice("INV-3", quantity="1", total="12.50")).code == 500


def test_a_price_credit_gives_money_back_and_no_quantity(sim: Simulator) -> None:
    """Half a dollar less for a hundred pieces leaves nothing more to invoice of their line."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    changes = {"purpose": "lineLevelCreditMemo", "original": "INV-1@supplier.example", "price": "-0.50"}
    swap = {"LineIndicator/>": 'LineIndicator isPriceAdjustmentInLine="yes"/>'}
    assert send(sim, invoice("CR-1", quantity="100", total="-50.00", swap=swap, **changes)).code == 200
    assert send(sim, invoice("INV-2", quantity="1", total="12.50")).code == 500


def test_a_debit_of_the_price_takes_no_quantity(sim: Simulator) -> None:
    """What was invoiced too cheaply is billed again, for the same pieces."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    changes = {"purpose": "lineLevelDebitMemo", "original": "INV-1@supplier.example", "price": "0.50"}
    swap = {"LineIndicator/>": 'LineIndicator isPriceAdjustmentInLine="yes"/>'}
    assert send(sim, invoice("DR-1", quantity="100", total="50.00", swap=swap, **changes)).code == 200


def test_a_price_may_differ_within_the_buyers_tolerance(sim: Simulator) -> None:
    """Ten percent more is taken by the buyer that tolerates it, and by no other."""
    dearer = {"quantity": "10", "price": "13.75", "total": "137.50"}
    refused = send(sim, invoice(**dearer))
    assert (refused.code, "INV-PRICE" in refused.text) == (400, True)
    assert send(sim, invoice(**dearer, buyer=LOOSE)).code == 200
    assert send(sim, invoice("INV-2", quantity="1", price="13.76", total="13.76", buyer=LOOSE)).code == 400


def test_an_order_from_outside_the_network_needs_a_willing_buyer(sim: Simulator) -> None:
    """An order named by id only, unknown here, is taken where the buyer allows it."""
    assert send(sim, invoice(buyer=LOOSE, reference='<OrderIDInfo orderID="99"/>')).code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": NO_ORDER, "tax_id": TAX_ID}, "INV-143: Cannot create a non-PO invoice with pricing details."),
        ({}, "INV-98: Your Tax ID value is missing."),
        ({"tax_id": TAX_ID}, "INV-ATTACHMENT: The customer requires an attachment."),
    ],
)
def test_what_breaks_a_buyers_rule_is_taken_and_fails_later(
    sim: Simulator, changes: dict[str, str], reason: str
) -> None:
    """The reply is 200; the document then stands as Failed with the reason, before the buyer ever sees it."""
    assert send(sim, invoice(buyer=STRICT, **changes)).code == 200
    (kept,) = sim.documents()
    assert ("Failed", reason) == (kept["status"], kept["reason"])
    assert [change["status"] for change in kept["changes"]] == ["Sent", "Failed"]


@pytest.mark.parametrize("kind", [RELATED, RELATED.replace("related", "mixed")])
def test_attachments_come_along(sim: Simulator, kind: str) -> None:
    """A multipart is opened, its attachment decoded, and the buyer's rules are kept."""
    document = multipart(invoice(buyer=STRICT, tax_id=TAX_ID, header_end=ATTACHED))
    assert send(sim, document, kind).code == 200
    (kept,) = sim.documents()
    assert kept["status"] == "Sent"
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
    assert small.documents() == []


def test_a_body_that_is_too_large_is_refused_by_the_web_server(small: Simulator) -> None:
    """HTTP 413 with a page, before anything is parsed."""
    answer = send(small, invoice().replace(b"Test 1", b"x" * 30_000))
    assert (answer.http, answer.code) == (413, None)


def test_a_cancellation_works_only_while_sent(sim: Simulator) -> None:
    """It cancels its original by payloadID and number; an acknowledged or unknown one stays as it is."""
    cancel = {"payload": "c@x.example", "operation": "delete", "original": "INV-1@supplier.example"}
    assert send(sim, invoice(**cancel)).code == 417
    send(sim, invoice())
    send(sim, invoice("INV-2"))
    sim.advance("INV-2")
    assert send(sim, invoice("INV-2", **cancel)).code == 417
    assert send(sim, invoice(**cancel)).code == 200
    assert send(sim, invoice(**cancel)).code == 409
    late = send(sim, invoice("INV-2", **{**cancel, "original": "INV-2@supplier.example"}))
    assert (late.code, "is Acknowledged" in late.text) == (409, True)
    statuses = {d["number"]: d["status"] for d in sim.documents() if d["operation"] == "new"}
    assert statuses == {"INV-1": "Canceled", "INV-2": "Acknowledged"}


def test_a_duplicate_may_show_only_later() -> None:
    """With duplicate_style later the reply is 200, and the second document stands as Failed beside the first."""
    with Simulator.start(config(duplicate_style="later")) as sim:
        codes = [send(sim, invoice(payload=f"{i}@x.example")).code for i in range(2)]
        statuses = [(document["status"], document["reason"][:17]) for document in sim.documents()]
    assert codes == [200, 200]
    assert statuses == [("Sent", ""), ("Failed", "INVOICE_DUPLICATE")]


def test_a_document_waits_in_the_queue_first_where_so_configured() -> None:
    """Queued, then Sent, then Acknowledged by itself, each at its time."""
    with Simulator.start(config(queued_seconds=30)) as sim:
        send(sim, invoice(buyer=LOOSE))
        seen = []
        for offset in (0, 31, 91):
            sim.clock(offset)
            seen.append(sim.documents()[0]["status"])
    assert seen == ["Queued", "Sent", "Acknowledged"]
