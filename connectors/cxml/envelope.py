"""The cXML envelope: who sends what to whom, as bytes that stay the same for the same arguments.

Facts from the cXML DTD 1.2.069 (cXML, Header, Credential, Request).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

from lxml import etree

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
MEDIA_TYPE = "text/xml; charset=utf-8"
_SECRET = re.compile(rb"<SharedSecret>([^<]*)</SharedSecret>")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2

Mode = Literal["test", "production"]


class Envelope(NamedTuple):
    """What stands around one Request. `secret` is the stamp's marker, or None where a certificate proves the sender."""

    sender: str  # our network id
    receiver: str
    secret: str | None
    payload_id: str
    at: dt.datetime  # UTC
    mode: Mode
    version: str
    language: str
    user_agent: str

    def open(self, request: str) -> tuple[etree._Element, etree._Element]:
        """The document's root, and the empty element called `request` in its Request."""
        timestamp = self.at.astimezone(dt.UTC).isoformat(timespec="seconds")
        root = etree.Element("cXML", payloadID=self.payload_id, timestamp=timestamp, version=self.version)
        root.set(XML_LANG, self.language)
        header = etree.SubElement(root, "Header")
        _credential(etree.SubElement(header, "From"), self.sender)
        _credential(etree.SubElement(header, "To"), self.receiver)
        sender = etree.SubElement(header, "Sender")
        credential = _credential(sender, self.sender)
        if self.secret is not None:
            etree.SubElement(credential, "SharedSecret").text = self.secret
        etree.SubElement(sender, "UserAgent").text = self.user_agent
        body = etree.SubElement(etree.SubElement(root, "Request", deploymentMode=self.mode), request)
        return root, body


def serialise(root: etree._Element, version: str, dtd: str) -> bytes:
    """The document's bytes: UTF-8, one element a line, with the DOCTYPE that names `dtd` in the target version."""
    system = f"http://xml.cxml.org/schemas/cXML/{version}/{dtd}.dtd"
    prolog = f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE cXML SYSTEM "{system}">\n'
    return prolog.encode() + etree.tostring(root, encoding="UTF-8", xml_declaration=False, pretty_print=True)


def reveal(document: bytes, secret: str) -> bytes:
    """The document with `secret` where its marker stands; ValueError unless it stands there and nowhere else."""
    markers = _SECRET.findall(document)
    if len(markers) != 1 or not markers[0] or document.count(markers[0]) != 1:
        raise ValueError("the place of the SharedSecret does not stand in the document exactly once")
    return document.replace(markers[0], escape(secret).encode())


def forbidden(text: str) -> str | None:
    """The first character that XML 1.0 cannot carry, by its code point (`U+0008`); None if there is none."""
    found = _FORBIDDEN.search(text)
    return f"U+{ord(found.group()):04X}" if found else None


def _credential(parent: etree._Element, identity: str) -> etree._Element:
    credential = etree.SubElement(parent, "Credential", domain="NetworkID")
    etree.SubElement(credential, "Identity").text = identity
    return credential
