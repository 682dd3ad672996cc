"""The multipart body of a cXML document with attachments (RFC 2387): CRLF, base64, the same for the same parts."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from connectors.cxml.envelope import MEDIA_TYPE
from hub.contract.connector import Enclosure

Subtype = Literal["related", "mixed"]
_ROOT = "cxml@document"
_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\%/]')


def content_type(subtype: Subtype, boundary: str) -> str:
    """The Content-Type header of the whole body."""
    return f'multipart/{subtype}; boundary="{boundary}"; type="text/xml"; start="<{_ROOT}>"'


def multipart(document: bytes, parts: Sequence[tuple[Enclosure, bytes]], boundary: str) -> bytes:
    """The document first, then each attachment under its content id."""
    chunks = [_part(boundary, MEDIA_TYPE, _ROOT, "binary"), document, b"\r\n"]
    for enclosure, content in parts:
        chunks += [
            _part(boundary, enclosure.media_type, enclosure.content_id, "base64", enclosure.name),
            base64.encodebytes(content).replace(b"\n", b"\r\n"),
        ]
    return b"".join([*chunks, f"--{boundary}--\r\n".encode()])


def _part(boundary: str, media_type: str, content_id: str, encoding: str, name: str | None = None) -> bytes:
    lines = [
        f"--{boundary}",
        f"Content-Type: {media_type}",
        f"Content-Transfer-Encoding: {encoding}",
        f"Content-ID: <{content_id}>",
    ]
    if name is not None:
        plain = _UNSAFE.sub("_", name)
        encoded = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"  # RFC 6266
        lines.append(f'Content-Disposition: attachment; filename="{plain}"{encoded}')
    return "\r\n".join([*lines, "", ""]).encode()
