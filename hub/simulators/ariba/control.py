"""The buyer's hand: moving documents through the workflow, and looking at what the network keeps."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping

from hub.simulators.ariba.network import NEXT, TELLINGS, Document, Network
from hub.simulators.portal import Json, Route, Unable


def routes(network: Network) -> Mapping[tuple[str, str], Route]:
    """The control routes of this portal."""

    def change(body: Json, status: str | None, reason: str = "") -> object:
        """Give the named document this status, or the next one of the workflow."""
        with network.lock:
            document = _document(network, body)
            current = document.at(network.now()).status
            following = status or NEXT.get(current)
            if following is None:
                raise Unable(409, f"{document.invoice.number} is {current}, after which nothing follows by itself")
            network.change(document, following, reason)
        return {"number": document.invoice.number, "status": following}

    def documents(query: Json) -> object:
        with network.lock:
            now = network.now()
            return [_described(document, now, raw="raw" in query) for document in network.documents]

    def clock(body: Json) -> object:
        seconds = body.get("offset_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Unable(400, f"offset_seconds is {seconds!r}, not a number")
        with network.lock:
            network.offset = dt.timedelta(seconds=seconds)
        return {"now": network.now().isoformat()}

    return {
        ("POST", "/control/search"): lambda body: _search(network, body),
        ("POST", "/control/feed"): lambda body: _feed(network, body),
        ("POST", "/control/forget-tokens"): lambda _: network.forget_tokens(),
        ("POST", "/control/advance"): lambda body: change(body, None),
        ("POST", "/control/set"): lambda body: change(body, _text(body, "status")),
        ("POST", "/control/reject"): lambda body: change(body, "Rejected", _text(body, "reason")),
        ("POST", "/control/fail"): lambda body: change(body, "Failed", _text(body, "reason")),
        ("POST", "/control/pay"): lambda body: change(body, "Paid"),
        ("POST", "/control/clock"): clock,
        ("GET", "/control/documents"): documents,
    }


def _search(network: Network, body: Json) -> object:
    seconds = body.get("lag_seconds", "not given")
    if isinstance(seconds, bool) or not (seconds is None or (isinstance(seconds, int | float) and seconds >= 0)):
        raise Unable(400, f"lag_seconds is {seconds!r}; give a number of 0 or more, or null for never")
    network.lag(_number(body), None if seconds is None else dt.timedelta(seconds=seconds))
    return {"lag_seconds": seconds}


def _feed(network: Network, body: Json) -> object:
    how = body.get("tells")
    if how not in TELLINGS:
        raise Unable(400, f"tells is {how!r}; give one of {', '.join(TELLINGS)}")
    network.tell_again(_number(body), str(how))
    return {"tells": how}


def _document(network: Network, body: Json) -> Document:
    number, buyer = _text(body, "number"), body.get("buyer")
    document = network.named(number, None if buyer is None else str(buyer))
    if document is None:
        raise Unable(404, f"no invoice {number} is here" + (f" for buyer {buyer}" if buyer else ""))
    return document


def _number(body: Json) -> str | None:
    return None if body.get("number") is None else _text(body, "number")


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise Unable(400, f"{key} is {value!r}; give a text")
    return value


def _described(document: Document, now: dt.datetime, *, raw: bool) -> dict[str, object]:
    invoice, change = document.invoice, document.at(now)
    summary = invoice.summary
    return {
        "number": invoice.number,
        "supplier": document.supplier,
        "buyer": document.buyer,
        "payload_id": document.payload_id,
        "purpose": invoice.purpose,
        "operation": invoice.operation,
        "original": invoice.original,
        "orders": [order.id for order, _ in document.parts],
        "currency": ", ".join(invoice.currencies),
        "subtotal": f"{summary.subtotal:f}",
        "tax": f"{summary.amounts['tax']:f}",
        "total": f"{summary.net:f}",
        "stored_at": document.stored_at.isoformat(),
        "status": change.status,
        "reason": change.reason,
        "changes": [
            {"at": past.at.isoformat(), "status": past.status, "reason": past.reason}
            for past in document.changes
            if past.at <= now
        ],
        "attachments": [
            {
                "content_id": part.content_id,
                "name": part.name,
                "media_type": part.media_type,
                "size": len(part.content),
                "sha256": hashlib.sha256(part.content).hexdigest(),
            }
            for part in document.attachments
        ],
        "body_sha256": hashlib.sha256(document.body).hexdigest(),
        **(
            {"headers": document.headers, "body_base64": base64.b64encode(document.body).decode("ascii")} if raw else {}
        ),
    }
