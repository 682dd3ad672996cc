"""The archive: for each attempt and verdict the exact document and the portal's answer, scrubbed, in a hash chain.

The chain runs over salted hashes: what must be erased loses its bytes, hash and salt, and the chain still verifies.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import logging
import secrets
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.store import tables as t
from hub.store.blobs import Blobs

_GONE = b"[secret]"
_SHORTEST = 6  # a shorter secret would blank out ordinary text; configuration refuses it
_CHAIN_LOCK = 0x6875_62  # PostgreSQL's advisory lock for appending
_log = logging.getLogger(__name__)


def _forms(secret: str) -> Iterable[bytes]:
    """How a secret may be written in what a portal sends back: raw, escaped, URL-encoded, in base64 at each offset."""
    raw = secret.encode()
    yield raw
    yield escape(secret).encode()
    yield escape(secret, quote=False).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    for offset in range(3):
        # The characters that depend on neighbours alone are cut off at both ends.
        coded = base64.b64encode(b"\0" * offset + raw)
        inner = coded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class Scrubber:
    """Takes the secrets it knows out of bytes before anything is written."""

    def __init__(self, known: Iterable[str]) -> None:
        forms = {form for secret in known if len(secret) >= _SHORTEST for form in _forms(secret)}
        self._forms = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, content: bytes) -> bytes:
        """`content` without secrets."""
        for form in self._forms:
            content = content.replace(form, _GONE)
        return content

    def text(self, words: str) -> str:
        """`words` without secrets."""
        return self(words.encode(errors="replace")).decode()

    def finds(self, content: bytes) -> bool:
        """Whether a secret stands in `content`."""
        return any(form in content for form in self._forms)


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
        _log.debug("%s: %s", name, self.scrub(content[:2000]).decode(errors="replace"))


def chain(
    tx: Connection,
    kind: str,
    sha256: str,
    *,
    at: dt.datetime,
    submission_id: int | None = None,
    attempt_id: int | None = None,
) -> None:
    """Append one document to the chain."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = tx.execute(sa.select(t.evidence.c.link).order_by(t.evidence.c.id.desc()).limit(1)).scalar_one_or_none()
    salt = secrets.token_hex(16)
    salted = _salted(sha256, salt)
    tx.execute(
        t.evidence.insert().values(
            at=at,
            kind=kind,
            submission_id=submission_id,
            attempt_id=attempt_id,
            sha256=sha256,
            salt=salt,
            salted=salted,
            link=_link(last or "", kind, salted),
        )
    )


def _salted(sha256: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{sha256}".encode()).hexdigest()


def _link(before: str, kind: str, salted: str) -> str:
    return hashlib.sha256(f"{before}:{kind}:{salted}".encode()).hexdigest()


def verify(tx: Connection, blobs: Blobs) -> tuple[int, tuple[str, ...]]:
    """How many documents the chain has, and everything that is wrong with it or with the files it names."""
    wrong = []
    before = ""
    count = 0
    for row in tx.execute(sa.select(t.evidence).order_by(t.evidence.c.id)):
        count += 1
        if row.link != _link(before, row.kind, row.salted):
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
    return count, tuple(wrong)
