from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from ariba_samples import XML, send
from lxml import etree

from hub.simulators.ariba import structure
from hub.simulators.ariba.answers import Refusal
from hub.simulators.client import Simulator

SUPPLIER, BUYER = "AN01000000002-T", "AN01000000001-T"


def order(number: int, *lines: tuple[int, str]) -> dict[str, object]:
    return {
        "id": f"450000{number}",
        "payload_id": f"po-payload-{number}@buyer.example",
        "date": "2026-02-01T08:00:00-06:00",
        "currency": "USD",
        "lines": [{"number": line, "quantity": "1000", "unit": "EA", "price": price} for line, price in lines],
    }


CONFIG = {
    "suppliers": [
        {"anid": SUPPLIER, "shared_secret": "SECRET", "client_id": "c", "client_secret": "s", "api_key": "k"},
    ],
    "buyers": [
        {
            "anid": BUYER,
            "name": "Big Buyer",
            "suppliers": [SUPPLIER],
            "allow_outside_orders": True,
            "require_tax_id": True,
            "price_tolerance_percent": "100",  # the documents price one order line in several ways
            "orders": [order(1, (10, "5.00"), (20, "25.00")), order(2, (10, "50.00")), order(3, (10, "7.00"))],
        }
    ],
}
# In the order in which they make sense together. The others there are no requests that a supplier sends.
DOCUMENTS = (
    "profile_request",
    "inv_po_goods",
    "inv_cancel_delete",
    "inv_line_tax_discount",
    "inv_service_ses",
    "inv_multi_po",
    "inv_non_po_orderidinfo",
    "inv_contract_release",
    "inv_header_level",
    "cm_header",
    "cm_line_quantity",
    "cm_line_price_adjust",
)
ATTACHMENT = (
    "\r\n--bb\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=invoice.pdf\r\n"
    "Content-ID: <pdf1@hub.example>\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--bb--\r\n"
)


@pytest.fixture(scope="module")
def network(shared: Path) -> Iterator[Simulator]:
    """A network that also validates against the official DTD, so that ours is never laxer nor stricter unnoticed."""
    with Simulator.start(CONFIG, dtd=shared / "data/cxml/dtd/1.2.069/InvoiceDetail.dtd") as sim:
        yield sim


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_kind_of_valid_document_is_taken(network: Simulator, shared: Path, name: str) -> None:
    """Invoices, credits, a cancellation and the profile request, as they were written against the DTD."""
    answer = send(network, (shared / f"data/cxml/synthetic/{name}.xml").read_bytes())
    assert (200, "") == (answer.code, answer.text)


def test_an_attachment_is_taken_and_the_bare_document_is_not(network: Simulator, shared: Path) -> None:
    """Two references to one part are sound; without the part the document is refused."""
    document = (shared / "data/cxml/synthetic/inv_po_goods_attachment_pdf.xml").read_bytes()
    body = f"--bb\r\nContent-Type: {XML}\r\n\r\n".encode() + document + ATTACHMENT.encode()
    assert 400 == send(network, document).code
    assert 200 == send(network, body, "multipart/related; boundary=bb").code


def test_other_requests_are_not_implemented(network: Simulator, shared: Path) -> None:
    """What the profile does not list is answered with 450; buyers' messages have no credentials here."""
    codes = {"getpending_request": 450, "sur_paid_partial": 401, "payment_remittance": 401, "response_200": 406}
    sent = {name: send(network, (shared / f"data/cxml/synthetic/{name}.xml").read_bytes()).code for name in codes}
    assert codes == sent


def broken(root: etree._Element, chance: random.Random) -> None:
    """Damage the invoice in one place: an element goes, comes twice, moves, loses an attribute or gets a text."""
    element = chance.choice([e for e in root.iter("*") if e.getparent() is not None and e.tag != "Request"])
    parent = element.getparent()
    match chance.randrange(5):
        case 0:
            parent.remove(element)
        case 1:
            parent.insert(parent.index(element), copy.deepcopy(element))
        case 2:
            parent.insert(chance.randrange(len(parent)), element)
        case 3 if element.attrib:
            del element.attrib[chance.choice(list(element.attrib))]
        case _:
            element.text = "stray"


def verdict(root: etree._Element) -> bool:
    """Whether our structural check lets it pass."""
    try:
        structure.check(root)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "profile_request"])
def test_the_structural_check_judges_as_the_official_dtd(shared: Path, name: str) -> None:
    """Whatever is damaged in a valid document, both refuse it or both let it pass."""
    dtd = etree.DTD(str(shared / "data/cxml/dtd/1.2.069/InvoiceDetail.dtd"))
    document = (shared / f"data/cxml/synthetic/{name}.xml").read_bytes()
    chance = random.Random(name)  # noqa: S311 - the same damage each time
    judged = []
    for _ in range(150):
        root = etree.fromstring(document, etree.XMLParser(load_dtd=False, resolve_entities=False))
        broken(root, chance)
        judged.append((verdict(root), dtd.validate(root), etree.tostring(root)))
    assert [] == [document for ours, theirs, document in judged if ours != theirs]
    assert {True, False} == {ours for ours, _, _ in judged}
