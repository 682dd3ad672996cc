"""Invented documents and a network for them."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from hub.simulators.client import Simulator

SUPPLIER, OTHER = "AN01000000301-T", "AN01000000302-T"
BUYER, STRICT, LOOSE = "AN01000000401-T", "AN01000000402-T", "AN01000000403-T"
ORDER = {
    "id": "4500000001",
    "payload_id": "po-1@buyer.example",
    "date": "2026-02-01T08:00:00-06:00",
    "currency": "USD",
    "lines": [
        {"number": 10, "quantity": "100", "unit": "EA", "price": "12.50"},
        {"number": 20, "quantity": "8", "unit": "EA", "price": "100.00"},
    ],
}
_CONNECTORS = Path(__file__).resolve().parents[1] / "connectors"
AUTHORITY = str(_CONNECTORS / "loopback-ca.pem")
PAIR = (_CONNECTORS / "loopback.pem", _CONNECTORS / "loopback.pem")  # certificate and key
PATH = "/service/transaction/cxml.asp"
XML = "text/xml; charset=utf-8"


def config(**changes: Any) -> dict[str, Any]:
    """Two suppliers and three buyers: one plain, one that demands everything, one that lets numbers be used again."""
    return {
        "suppliers": [
            {
                "anid": anid,
                "shared_secret": f"s3-{n}",
                "client_id": f"id-{n}",
                "client_secret": f"cs-{n}",
                "api_key": f"k-{n}",
            }
            for n, anid in enumerate((SUPPLIER, OTHER))
        ],
        "buyers": [
            {"anid": BUYER, "name": "Plain Buyer", "suppliers": [SUPPLIER], "orders": [ORDER]},
            {
                "anid": STRICT,
                "name": "Strict Buyer",
                "suppliers": [SUPPLIER],
                "allow_non_po": False,
                "require_tax_id": True,
                "require_attachment": True,
                "orders": [ORDER],
            },
            {
                "anid": LOOSE,
                "name": "Loose Buyer",
                "suppliers": [SUPPLIER],
                "allow_outside_orders": True,
                "reuse_number_after_refusal": True,
                "price_tolerance_percent": "10",
                "auto_acknowledge": 60,
                "orders": [ORDER],
            },
        ],
        **changes,
    }


BY_PAYLOAD = (
    f'<OrderReference orderID="{ORDER["id"]}"><DocumentReference payloadID="{ORDER["payload_id"]}"/></OrderReference>'
)
BY_ID = f'<OrderIDInfo orderID="{ORDER["id"]}" orderDate="{ORDER["date"]}"/>'
NO_ORDER = '<SupplierOrderInfo orderID="SO-77"/>'
TAX_ID = '<IdReference identifier="12-3456789" domain="supplierTaxID"/>'


TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.069/InvoiceDetail.dtd">
<cXML payloadID="{payload}" timestamp="2026-03-02T10:15:30-06:00" version="1.2.069">
<Header><From><Credential domain="NetworkID"><Identity>{supplier}</Identity></Credential></From>
<To><Credential domain="NetworkID"><Identity>{buyer}</Identity></Credential></To>
<Sender><Credential domain="NetworkID"><Identity>{supplier}</Identity><SharedSecret>s3-0</SharedSecret></Credential>
<UserAgent>Test 1</UserAgent></Sender></Header>
<Request deploymentMode="test"><InvoiceDetailRequest>
<InvoiceDetailRequestHeader invoiceID="{number}" purpose="{purpose}" operation="{operation}"
 invoiceDate="2026-03-02T09:00:00-06:00">
<InvoiceDetailHeaderIndicator/><InvoiceDetailLineIndicator/>
<InvoicePartner><Contact role="from"><Name xml:lang="en">Ridge Tools</Name></Contact>{tax_id}</InvoicePartner>
{original}{header_end}</InvoiceDetailRequestHeader>
<InvoiceDetailOrder><InvoiceDetailOrderInfo>{reference}</InvoiceDetailOrderInfo>
<InvoiceDetailItem invoiceLineNumber="1" quantity="{quantity}"><UnitOfMeasure>EA</UnitOfMeasure>
<UnitPrice><Money currency="USD">{price}</Money></UnitPrice><InvoiceDetailItemReference lineNumber="10"/>
<SubtotalAmount><Money currency="USD">{total}</Money></SubtotalAmount>
</InvoiceDetailItem></InvoiceDetailOrder><InvoiceDetailSummary>
<SubtotalAmount><Money currency="USD">{total}</Money></SubtotalAmount>
<Tax><Money currency="USD">0.00</Money><Description xml:lang="en"/></Tax>
<NetAmount><Money currency="USD">{total}</Money></NetAmount>
<DueAmount><Money currency="USD">{total}</Money></DueAmount>
</InvoiceDetailSummary></InvoiceDetailRequest></Request></cXML>"""
TEN_PIECES = {
    "supplier": SUPPLIER,
    "buyer": BUYER,
    "quantity": "10",
    "price": "12.50",
    "total": "125.00",
    "reference": BY_PAYLOAD,
    "purpose": "standard",
    "operation": "new",
    "original": "",
    "tax_id": "",
    "header_end": "",
}


def invoice(number: str = "INV-1", *, swap: Mapping[str, str] | None = None, **changes: str) -> bytes:
    """An invoice for ten pieces of order line 10, but for `changes`; `swap` replaces texts that must be there."""
    parts = {**TEN_PIECES, "number": number, "payload": f"{number}@supplier.example"}
    assert changes.keys() <= parts.keys()
    parts |= changes
    if parts["original"]:
        parts["original"] = f'<DocumentReference payloadID="{parts["original"]}"/>'
    xml = TEMPLATE.format(**parts)
    for old, new in (swap or {}).items():
        assert old in xml, old
        xml = xml.replace(old, new)
    return xml.encode()


# Swaps that make the invoice one of totals, without lines.
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

PROFILE = re.sub(
    rb"<InvoiceDetailRequest>.*</InvoiceDetailRequest>",
    b"<ProfileRequest/>",
    invoice(buyer="AN01000000001"),
    flags=re.DOTALL,
)


@dataclass(frozen=True)
class Answer:
    """What came back; `code` and `text` are the cXML Status, where there is one."""

    http: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> int | None:
        match = re.search(rb'<Status code="(\d+)"', self.body)
        return int(match[1]) if match else None

    @property
    def text(self) -> str:
        match = re.search(rb"<Status [^>]*>(.*?)</Status>", self.body, re.DOTALL)
        return match[1].decode() if match else ""


def ask(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        reply = connection.getresponse()
        return Answer(reply.status, dict(reply.getheaders()), reply.read())
    finally:
        connection.close()


def send(sim: Simulator, document: bytes, content_type: str = XML) -> Answer:
    return ask(sim.url, "POST", PATH, document, {"Content-Type": content_type})


def token(sim: Simulator, n: int = 0) -> str:
    basic = b64encode(f"id-{n}:cs-{n}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(sim.url, "POST", "/v2/oauth/token", b"grant_type=client_credentials", headers)
    return str(json.loads(answer.body)["access_token"])


def credentials(sim: Simulator, n: int = 0) -> dict[str, str]:
    anid = (SUPPLIER, OTHER)[n]
    return {"Authorization": f"Bearer {token(sim, n)}", "apiKey": f"k-{n}", "X-ARIBA-NETWORK-ID": anid}


def search(sim: Simulator, *filters: str, headers: Mapping[str, str] | None = None, **options: int) -> Answer:
    query = [("$filter", text) for text in filters] + [(f"${name}", str(value)) for name, value in options.items()]
    path = f"/api/invoices/v1/prod/invoices?{urlencode(query)}"
    return ask(sim.url, "GET", path, headers=credentials(sim) if headers is None else headers)


def window(start: str = "startDate", end: str = "endDate", days: int = 15) -> str:
    """A filter for the time from so many days ago to as many ahead."""
    now = dt.datetime.now(dt.UTC)
    first, last = (now + sign * dt.timedelta(days=days) for sign in (-1, 1))
    return f"{start} eq '{first:%Y-%m-%dT%H:%M:%S}' and {end} eq '{last:%Y-%m-%dT%H:%M:%S}'"


def found(sim: Simulator, *filters: str, headers: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Numbers and statuses of what a search shows."""
    content = json.loads(search(sim, window(), *filters, headers=headers).body)["content"]
    return [(item["documentNumber"], item["status"]) for item in content]


def met(url: str, document: bytes, seconds: float = 5, **options: Any) -> str:
    """What requests makes of the answer to a submit: the exception's name, or status and kind of reply."""
    try:
        reply = requests.post(
            url + PATH, document, headers={"Content-Type": XML}, timeout=seconds, verify=AUTHORITY, **options
        )
    except requests.RequestException as error:
        return type(error).__name__
    if not reply.content:
        return f"{reply.status_code}, 0 bytes"
    kinds = {b"<form": "form", b"<html>": "html", b"<cXML": "cXML"}
    return f"{reply.status_code} {next((kind for mark, kind in kinds.items() if mark in reply.content), 'other')}"
