"""The secret's place, and the multipart body."""

from __future__ import annotations

import datetime as dt
import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from connectors.cxml.envelope import Envelope, forbidden, reveal, serialise
from connectors.cxml.multipart import content_type, multipart
from hub.contract.connector import Enclosure

MARKER = "marker-1"


def sealed(secret: str | None = MARKER, user_agent: str = "hub") -> bytes:
    envelope = Envelope(
        sender="AN01",
        receiver="AN02",
        secret=secret,
        payload_id="1@hub",
        at=dt.datetime(2026, 10, 12, 16, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        mode="test",
        version="1.2.069",
        language="en",
        user_agent=user_agent,
    )
    return serialise(envelope.open("ProfileRequest")[0], "1.2.069", "cXML")


def test_the_envelope_says_who_sends_what_to_whom() -> None:
    """The sender's identity stands in From and Sender, the secret in Sender alone, times in UTC."""
    root = etree.fromstring(sealed())
    assert ["AN01", "AN02", "AN01"] == [each.text for each in root.iter("Identity")]
    assert [MARKER] == [each.text for each in root.iter("SharedSecret")]
    assert ("2026-10-12T14:30:00+00:00", "test") == (root.get("timestamp"), root.find("Request").get("deploymentMode"))


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), min_size=1))
def test_any_secret_comes_out_as_it_is(secret: str) -> None:
    """Markup in a secret is escaped: a parser reads back what was put in."""
    assert [secret] == [each.text for each in etree.fromstring(reveal(sealed(), secret)).iter("SharedSecret")]


@pytest.mark.parametrize(
    "document",
    [
        sealed(None),
        sealed(user_agent=f"hub {MARKER}"),
        sealed().replace(b"<UserAgent>", b"<SharedSecret>x</SharedSecret><UserAgent>"),
        sealed().replace(MARKER.encode(), b""),
    ],
    ids=["nowhere", "in text as well", "twice", "empty"],
)
def test_a_marker_that_does_not_stand_exactly_once_reveals_nothing(document: bytes) -> None:
    """A document that was tampered with is not sent, and the secret goes to no second place."""
    with pytest.raises(ValueError, match="exactly once"):
        reveal(document, "sesame")


@pytest.mark.parametrize(("text", "found"), [("a\tb\nc\rd é🛠", None), ("a\x08", "U+0008"), ("\ud800", "U+D800")])
def test_forbidden_characters_are_found(text: str, found: str | None) -> None:
    """XML 1.0, production 2."""
    assert found == forbidden(text)


ENCLOSURES = (
    Enclosure("1.x@hub", "invoice.pdf", "application/pdf", "a" * 64),
    Enclosure("2.x@hub", 'für "Tor"\r\nX: y.png', "image/png", "b" * 64),
)


def test_a_standard_reader_takes_the_multipart_apart() -> None:
    """Root first and named as start, then each attachment under its content id, byte for byte."""
    contents = (bytes(range(256)) * 3, b"")
    body = multipart(sealed(), list(zip(ENCLOSURES, contents, strict=True)), "b-1")
    kind = content_type("related", "b-1")
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=email.policy.HTTP)
    root, *parts = message.iter_parts()
    assert ("multipart/related", "text/xml") == (message.get_content_type(), message.get_param("type"))
    assert message.get_param("start") == root["Content-ID"]
    assert sealed() == root.get_payload(decode=True)
    assert ["<1.x@hub>", "<2.x@hub>"] == [part["Content-ID"] for part in parts]
    assert list(contents) == [part.get_payload(decode=True) for part in parts]
    assert ["application/pdf", "image/png"] == [part.get_content_type() for part in parts]


def test_the_multipart_uses_crlf_and_a_name_breaks_no_header() -> None:
    """Outside the document every line ends in CRLF; quotes and line breaks of a file name are encoded."""
    body = multipart(b"<x/>", list(zip(ENCLOSURES, (b"1" * 200, b"2"), strict=True)), "b-1")
    assert body.count(b"\n") == body.count(b"\r\n")
    assert b"filename=\"f_r _Tor___X: y.png\"; filename*=UTF-8''f%C3%BCr%20%22Tor%22%0D%0AX%3A%20y.png\r\n" in body
    assert multipart(b"<x/>", list(zip(ENCLOSURES, (b"1" * 200, b"2"), strict=True)), "b-1") == body
