"""The archive: for each attempt and verdict the exact document and the portal's answer, scrubbed, in a hash chain.

The chain runs over salted hashes: what must be erased loses its bytes, hash and salt, and the chain still verifies.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.connector import Refs
from hub.contract.errors import Reason
from hub.store import tables as t
from hub.store.blobs import Blobs

_GONE = b"[secret]"
_SHORTEST = 6  # a shorter secret would blank out ordinary text; configuration refuses it
_CHAIN_LOCK = 0x6875_62  # PostgreSQL's advisory lock for appending
_LAST = sa.select(t.evidence.c.link).order_by(t.evidence.c.id.desc()).limit(1)  # made once: every delivery uses it
_APPEND = t.evidence.insert()
_log = logging.getLogger(__name__)


def _written(char: str) -> str:
    """A pattern for one character as XML, HTML, URLs and JSON may write it."""
    spelled = {char, quote(char, safe=""), f"&#{ord(char)};", f"&#x{ord(char):x};", f"\\u{ord(char):04x}"}
    spelled |= {quote_plus(char, safe=""), escape(char)} | {f"&{name};" for name in _NAMED.get(char, ())}
    spelled |= {"".join(f"%{byte:02x}" for byte in char.encode())} | (set() if char.isalnum() else {f"\\{char}"})
    # Letters stand for themselves; the hexadecimal digits of an escape may be of either case.
    forms = [re.escape(form) if len(form) == 1 else f"(?i:{re.escape(form)})" for form in sorted(spelled)]
    return f"(?:{'|'.join(forms)})"


_NAMED = {'"': ("quot",), "'": ("apos",), "&": ("amp",), "<": ("lt",), ">": ("gt",)}


def _coded(secret: bytes) -> Iterable[bytes]:
    """A secret inside base64, at each of the three offsets it may have there; both alphabets."""
    for offset in range(3):
        # The characters that depend on neighbours alone are cut off at both ends.
        coded = base64.b64encode(b"\0" * offset + secret)
        inner = coded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class Scrubber:
    """Takes the secrets it knows out of everything before it is written: raw, escaped, URL-encoded, in base64."""

    def __init__(self, known: Iterable[str]) -> None:
        patterns: set[bytes] = set()
        for secret in sorted({secret for secret in known if len(secret) >= _SHORTEST}, key=len, reverse=True):
            patterns.add("".join(map(_written, secret)).encode())
            patterns |= {re.escape(form) for form in _coded(secret.encode()) if len(form) >= _SHORTEST}
        ordered = sorted(patterns, key=len, reverse=True)  # a secret that holds another is taken out whole
        self._pattern = re.compile(b"|".join(ordered)) if ordered else None

    def __call__(self, content: bytes) -> bytes:
        """`content` without secrets."""
        return content if self._pattern is None else self._pattern.sub(_GONE, content)

    def text(self, words: str) -> str:
        """`words` without secrets, and without NUL, which PostgreSQL takes in no text."""
        return self(words.encode(errors="replace")).decode().replace("\0", "\N{REPLACEMENT CHARACTER}")

    def reasons(self, reasons: Iterable[Reason]) -> tuple[Reason, ...]:
        """A portal's reasons without secrets."""
        return tuple(Reason(self.text(r.text), r.code, r.portal_code and self.text(r.portal_code)) for r in reasons)

    def refs(self, refs: Refs) -> Refs:
        """How a portal names a document, without secrets."""
        told = (refs.payload_id, refs.portal_id, refs.number, refs.customer)
        return Refs(*(one if one is None else self.text(one) for one in told))

    def finds(self, content: bytes) -> bool:
        """Whether a secret stands in `content`."""
        return self._pattern is not None and self._pattern.search(content) is not None


class Archive:
    """Bytes of the archive, and the chain that proves them."""

    def __init__(self, blobs: Blobs, scrub: Scrubber) -> None:
        self.blobs = blobs
        self.scrub = scrub

    def put(self, content: bytes) -> str:
        """Store what a portal or a person said, scrubbed; its hash. Durable when this returns."""
        return self.blobs.put(self.scrub(content))

    def keep(self, name: str, content: bytes) -> None:
        """A diagnostic: logged at debug level, scrubbed, never durable, and never in the way of a call."""
        _log.debug("%s: %s", name, self.scrub(content)[:2000].decode(errors="replace"))


def chain(
    tx: Connection,
    kind: str,
    sha256: str,
    *,
    at: dt.datetime,
    submission_id: int | None = None,
    attempt_id: int | None = None,
) -> None:
    """Append one document to the chain; the last thing of a transaction, for the others wait for its end."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = tx.execute(_LAST).scalar_one_or_none()
    salt = secrets.token_hex(16)
    salted = _salted(sha256, salt)
    facts = (kind, submission_id, attempt_id, at)
    tx.execute(
        _APPEND,
        {
            "at": at,
            "kind": kind,
            "submission_id": submission_id,
            "attempt_id": attempt_id,
            "sha256": sha256,
            "salt": salt,
            "salted": salted,
            "link": _link(last or "", *facts, salted),
        },
    )


def _salted(sha256: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{sha256}".encode()).hexdigest()


def _link(
    before: str, kind: str, submission_id: int | None, attempt_id: int | None, at: dt.datetime, salted: str
) -> str:
    """Over the link before and all that the row says, so that no row can be changed, moved or left out."""
    said = json.dumps([before, kind, submission_id, attempt_id, at.astimezone(dt.UTC).isoformat(), salted])
    return hashlib.sha256(said.encode()).hexdigest()


def verify(tx: Connection, blobs: Blobs) -> tuple[int, tuple[str, ...]]:
    """How many documents the chain has, and everything that is wrong with it or with the files it names."""
    wrong = []
    before = ""
    count = 0
    for row in tx.execute(sa.select(t.evidence).order_by(t.evidence.c.id)):
        count += 1
        if row.link != _link(before, row.kind, row.submission_id, row.attempt_id, row.at, row.salted):
            wrong.append(f"evidence {row.id}: does not follow from the one before it; a row was changed or removed")
        before = row.link
        if row.sha256 is None:
            continue
        if row.salted != _salted(row.sha256, row.salt):
            wrong.append(f"evidence {row.id}: its hash was changed")
        try:
            blobs.read(row.sha256)
        except FileNotFoundError:
            wrong.append(f"evidence {row.id}: {blobs.path(row.sha256)} is gone")
        except ValueError as error:
            wrong.append(f"evidence {row.id}: {error}")
    wrong += _attempts_without_proof(tx)
    return count, tuple(wrong)


def _attempts_without_proof(tx: Connection) -> list[str]:
    """The end of a chain can be cut off without a trace in it; the attempts still tell."""
    a, e = t.attempt.c, t.evidence.c
    proven = sa.exists().where(e.attempt_id == a.id, e.kind == "sent")
    query = sa.select(a.id).where(sa.not_(proven)).order_by(a.id)
    return [f"attempt {one}: the chain has nothing of what it sent; a row was removed" for one in tx.scalars(query)]
