"""The cXML envelope: parsing it safely, and who sends what to whom (cXML.dtd: cXML, Header, Credential, Request)."""

from __future__ import annotations

import datetime as dt
import hmac
import re
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from hub.simulators.ariba.answers import Refusal, with_reference
from hub.simulators.ariba.config import Config, Supplier

NETWORK = "AN01000000001"  # what concerns the network itself, as a ProfileRequest, is addressed to this
ENCODINGS = frozenset({"utf-8", "us-ascii", "ascii", "iso-8859-1"})

_DECLARED = re.compile(rb"""\A<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_INTERNAL_SUBSET = re.compile(rb"""<!DOCTYPE(?:[^"'>\[]|"[^"]*"|'[^']*')*\[""")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Envelope:
    """What a document says of itself before its content. `request` is the element inside Request."""

    payload_id: str
    at: dt.datetime
    sender: str
    secret: str = field(repr=False)
    origin: str
    target: str
    test: bool
    request: etree._Element


def parsed(document: bytes) -> etree._Element:
    """The root of a well-formed document. Raises Refusal (406); entities are never defined nor expanded."""
    document = document.removeprefix(b"\xef\xbb\xbf")
    declared = _DECLARED.match(document)
    encoding = declared[1].decode("latin-1").lower() if declared else "utf-8"
    if not document.startswith(b"<") or b"\0" in document or encoding not in ENCODINGS:
        raise Refusal(406, f"the document is not XML in one of {', '.join(sorted(ENCODINGS))}")
    if _INTERNAL_SUBSET.search(document):
        raise Refusal(406, "the document type has an internal subset; entities and declarations are not taken")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise Refusal(406, f"the document is not well formed: {error.msg}") from None


def envelope(root: etree._Element) -> Envelope:
    """What the envelope says. Raises Refusal (406) for what it lacks, 400 where mode and identities differ."""
    if root.tag != "cXML":
        raise Refusal(406, f"the root element is {root.tag}, not cXML")
    payload_id = (root.get("payloadID") or "").strip()
    if not payload_id:
        raise Refusal(406, "cXML@payloadID is missing or empty")
    at = stamp(root.get("timestamp"), "cXML@timestamp")
    _check_version(root)
    request = root.find("Request")
    if request is None or len(request) != 1:
        raise Refusal(406, "cXML has no Request with exactly one request in it")
    sender, secret = _identity(root, "Sender")
    found = Envelope(
        payload_id,
        at,
        sender,
        secret,
        _identity(root, "From")[0],
        _identity(root, "To")[0],
        request.get("deploymentMode", "production") == "test",
        request[0],
    )
    for anid in (found.sender, found.origin, found.target):
        if anid != NETWORK and anid.endswith("-T") != found.test:
            mode = "test" if found.test else "production"
            raise Refusal(400, f"deploymentMode is {mode}, but {anid} is {'no ' if found.test else 'a '}test account")
    return found


def authenticated(found: Envelope, config: Config) -> Supplier:
    """The supplier that sends this. Raises Refusal (401) with the network's own words."""
    for supplier in config.suppliers:
        if supplier.anid == found.sender == found.origin and hmac.compare_digest(
            supplier.shared_secret.encode(), found.secret.encode()
        ):
            return supplier
    raise stranger()


def stranger() -> Refusal:
    """What the network says to a sender that it does not know."""
    return with_reference(401, "Error:Invalid or unrecognized sender credentials.")


def stamp(text: str | None, where: str) -> dt.datetime:
    """A date and time with its zone. Raises Refusal (406)."""
    if text and _STAMP.fullmatch(text):
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            pass
    raise Refusal(406, f"{where} is {text!r}, not a date and time with a zone as 2026-09-01T08:00:00-07:00")


def _check_version(root: etree._Element) -> None:
    """The version is at most the one that the document type names (cXML@version)."""
    document: Any = root.getroottree().docinfo  # the stubs know no doctype
    named = _VERSION.search(document.doctype)
    if named is None:
        raise Refusal(406, "the document type names no cXML version in its SYSTEM id")
    version = root.get("version", named[0])
    if not _VERSION.fullmatch(version) or _numbers(version) > _numbers(named[0]):
        raise Refusal(406, f"cXML@version is {version!r}, not a version up to {named[0]} of the document type")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _identity(root: etree._Element, party: str) -> tuple[str, str]:
    """The NetworkID of From, To or Sender, with its shared secret if it has one."""
    for credential in root.iterfind(f"Header/{party}/Credential"):
        if credential.get("domain", "").lower() == "networkid":  # seen as NetworkID and NetworkId
            return (credential.findtext("Identity") or "").strip(), credential.findtext("SharedSecret") or ""
    raise Refusal(406, f"Header/{party} has no Credential of domain NetworkID")
