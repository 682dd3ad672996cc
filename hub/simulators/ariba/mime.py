"""Opening a request's body: one cXML document, alone or as the root of a MIME multipart (RFC 2046, 2387, 2392)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from hub.simulators.ariba.answers import Refusal

XML_TYPES = frozenset({"text/xml", "application/xml"})
MULTIPART_TYPES = frozenset({"multipart/related", "multipart/mixed"})
FORBIDDEN_ENDINGS = (".exe", ".bin")
MAX_PARTS = 200
MAX_BOUNDARY = 70  # RFC 2046, 5.1.1


@dataclass(frozen=True)
class Part:
    """One attachment as it was sent, decoded. `content_id` is without its angle brackets."""

    content_id: str
    name: str
    media_type: str
    content: bytes


def opened(content_type: str, body: bytes, max_attachment: int) -> tuple[bytes, tuple[Part, ...]]:
    """The cXML document and its attachments. Raises Refusal for a multipart that cannot be taken apart."""
    outer = Message()
    outer["Content-Type"] = content_type
    if outer.get_content_type() in XML_TYPES:
        return body, ()
    boundary = str(outer.get_param("boundary", ""))
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        raise Refusal(406, f"multipart without a boundary of 1 to {MAX_BOUNDARY} characters")
    pieces = [_piece(piece) for piece in _split(body, boundary.encode())]
    root = _root(pieces, str(outer.get_param("start", "")))
    if root[0].get_content_type() not in XML_TYPES:
        raise Refusal(406, f"the multipart's root is {root[0].get_content_type()}, not text/xml")
    parts = tuple(_part(piece, max_attachment) for piece in pieces if piece is not root)
    return _decoded(*root), parts


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries. Lines end with CRLF; nothing else is taken for a line's end."""
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not pieces or not pieces[-1].startswith(b"--"):
        raise Refusal(406, "multipart whose boundaries (CRLF before each) do not open and close")
    pieces.pop()
    if not 1 <= len(pieces) <= MAX_PARTS:
        raise Refusal(406, f"multipart with {len(pieces)} parts; 1 to {MAX_PARTS} are taken")
    return pieces


def _piece(raw: bytes) -> tuple[Message, bytes]:
    """A part's headers and its content as sent."""
    rest_of_line, crlf, after = raw.partition(b"\r\n")
    if not crlf or rest_of_line.strip(b" \t"):
        raise Refusal(406, "multipart with something other than CRLF after a boundary")
    head, _, content = (b"\r\n" + after).partition(b"\r\n\r\n")
    headers = Message()
    for line in head.decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if not colon or "\n" in line or "\r" in line:
            raise Refusal(406, f"a part's header line {line[:80]!r} is not: Name: value")
        headers[name.strip()] = value.strip()
    return headers, content


def _root(pieces: list[tuple[Message, bytes]], start: str) -> tuple[Message, bytes]:
    if not start:
        return pieces[0]
    for piece in pieces:
        if (piece[0]["Content-ID"] or "").strip() == start.strip():
            return piece
    raise Refusal(406, f"no part has the Content-ID {start}, which the multipart names as its start")


def _part(piece: tuple[Message, bytes], max_attachment: int) -> Part:
    headers, _ = piece
    content_id = (headers["Content-ID"] or "").strip()
    if not (content_id.startswith("<") and content_id.endswith(">")):
        raise Refusal(406, f"an attachment's Content-ID is {content_id!r}, not <id>")
    content_id = content_id[1:-1]
    name = headers.get_filename() or ""
    if any(ord(char) < ord(" ") or char in '/\\"' for char in name):
        raise Refusal(400, f"attachment {content_id} is named {name!r}: no path, quote or control character is taken")
    if name.lower().rstrip(". ").endswith(FORBIDDEN_ENDINGS):
        raise Refusal(400, f"attachment {name} is executable; {', '.join(FORBIDDEN_ENDINGS)} are never taken")
    content = _decoded(*piece)
    if len(content) > max_attachment:
        raise Refusal(499, f"attachment {name or content_id} has {len(content)} bytes, more than {max_attachment}")
    return Part(content_id, name, headers.get_content_type(), content)


def _decoded(headers: Message, content: bytes) -> bytes:
    coding = (headers["Content-Transfer-Encoding"] or "7bit").strip().lower()
    if coding in ("7bit", "8bit", "binary"):
        return content
    if coding != "base64":
        raise Refusal(406, f"Content-Transfer-Encoding {coding} is not taken; use base64")
    try:
        return base64.b64decode(b"".join(content.split(b"\r\n")), validate=True)
    except binascii.Error as error:
        raise Refusal(406, f"an attachment's base64 does not decode: {error}") from None


def check_references(cids: Mapping[str, int], parts: tuple[Part, ...]) -> None:
    """Every cid: URL (with the line it stands in) matches exactly one part, and every part is referred to."""
    held = [part.content_id for part in parts]
    for cid, line in cids.items():
        if held.count(cid) != 1:
            raise Refusal(400, f"cid:{cid} (line {line}) matches {held.count(cid)} parts of the message, not one")
    for content_id in held:
        if content_id not in cids:
            raise Refusal(400, f"the part <{content_id}> is referred to by no Attachment")
