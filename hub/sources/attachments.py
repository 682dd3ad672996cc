"""Attachments as they come in: names made harmless, bytes kept once under their hash."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from hub.contract.invoice import AttachmentType

MAX_ATTACHMENTS = 200
MAX_BYTES = 50_000_000  # of one invoice's attachments together
_MAX_NAME = 200
_SCHEMES = ("http://", "https://", "ftp://", "sftp://")
_ENDINGS = {"application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg", "text/csv": ".csv"}
_TYPES = {kind.value.replace("_", " "): kind for kind in AttachmentType}
# Marks that turn the reading direction around, so that `gpj.exe` is shown as `exe.jpg` (Unicode UAX #9).
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless_name(name: str) -> str:
    """The last part of a file name; "" where nothing is left. Raises ValueError for control characters."""
    if _TURNING.search(name) or any(unicodedata.category(char) == "Cc" for char in name):
        raise ValueError(f"the attachment's name {name!r} holds control characters; rename the file")
    last = re.split(r"[/\\]", name)[-1].strip().lstrip(".")
    stem, dot, ending = last.rpartition(".")
    return last if len(last) <= _MAX_NAME else f"{(stem or last)[: _MAX_NAME - 20]}{dot}{ending[:19]}"


def type_of(*words: str | None) -> AttachmentType:
    """What the document is, where the source says it in exactly our words (`Timesheet`); else other."""
    known = (_TYPES.get(word.strip().casefold().replace("_", " ")) for word in words if word)
    return next((kind for kind in known if kind), AttachmentType.OTHER)


@dataclass
class Blobs:
    """The bytes of one invoice's attachments, each once, within the limits."""

    held: dict[str, bytes] = field(default_factory=dict)
    number: int = 0
    size: int = 0

    def add(self, content: bytes, name: str, media_type: str | None = None) -> dict[str, Any]:
        """Keep `content`; the fields of its Attachment. Raises ValueError for a bad name or past the limits."""
        self.number += 1
        self.size += len(content)
        if self.number > MAX_ATTACHMENTS or self.size > MAX_BYTES:
            raise ValueError(
                f"the invoice has more than {MAX_ATTACHMENTS} attachments or {MAX_BYTES:,} bytes of them; send fewer"
            )
        sha256 = hashlib.sha256(content).hexdigest()
        self.held[sha256] = content
        kind = media_type.strip().lower() if media_type else None
        stated = harmless_name(name) or f"attachment-{self.number}"
        shown = stated if "." in stated else stated + _ENDINGS.get(kind or "", "")
        return {"name": shown, "media_type": kind, "sha256": sha256, "size": len(content)}


def decoded(text: str) -> bytes:
    """Base64 as XML carries it, broken into lines or not. Raises ValueError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise ValueError(f"the embedded attachment is no base64 ({wrong}); attach the file anew") from None


def link(url: str) -> str:
    """A link to a document. Raises ValueError for any scheme that could do more than fetch."""
    if not url.lower().startswith(_SCHEMES):
        raise ValueError(f"the attachment's link {url[:80]!r} begins with none of {', '.join(_SCHEMES)}; correct it")
    return url
