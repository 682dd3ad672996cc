"""What the network says back in cXML: a Response with a Status (cXML Reference Guide, Response)."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from xml.sax.saxutils import escape, quoteattr

from hub.simulators.wire import Reply

VERSION = "1.2.069"
STATUS_TEXT = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    406: "Not Acceptable",
    409: "Conflict",
    417: "Expectation Failed",
    450: "Not Implemented",
    499: "Document Size Limit Exceeded",
    500: "Internal Server Error",
}
# What the network says it takes; ours is the only one of the real profile's requests that this simulator plays.
TRANSACTIONS = ("ProfileRequest", "InvoiceDetailRequest")

_counter = itertools.count(1)


class Refusal(Exception):
    """The document is not taken: a cXML Status and the text that goes with it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def with_reference(code: int, text: str) -> Refusal:
    """A refusal with an error reference number, as support asks for (KB0393768, KB0646639)."""
    number = f"ANERR-{10**19 + next(_counter)}"
    return Refusal(code, f"{text} Please contact support with the Error Reference Number: {number}")


def status(code: int, text: str, now: dt.datetime, payload: str = "") -> Reply:
    """A Response with this Status, inside HTTP 200."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/{VERSION}/cXML.dtd">\n'
        f'<cXML payloadID="{time.time_ns() // 1_000_000}-{next(_counter)}@network.simulated" '
        f'timestamp="{now.isoformat(timespec="seconds")}" version="{VERSION}"><Response>'
        f'<Status code="{code}" text={quoteattr(STATUS_TEXT[code])} xml:lang="en-US">{escape(text)}</Status>'
        f"{payload}</Response></cXML>"
    )
    outcome = f"cXML {code}" + (f" {text}" if text else "")
    return Reply(200, "text/xml; charset=UTF-8", xml.encode(), outcome=outcome)


def profile(url: str, now: dt.datetime) -> str:
    """The ProfileResponse: where each kind of request goes."""
    transactions = "".join(
        f"<Transaction requestName={quoteattr(name)}><URL>{escape(url)}</URL></Transaction>" for name in TRANSACTIONS
    )
    return f'<ProfileResponse effectiveDate="{now.isoformat(timespec="seconds")}">{transactions}</ProfileResponse>'
