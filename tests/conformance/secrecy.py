"""No secret leaves: not in files, errors, logs or stored steps, however it is written there."""

from __future__ import annotations

import base64
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
from faults import Fault

from conformance.base import Base, arm, needs
from conformance.desk import Desk
from conformance.house import House
from conformance.stand import Stand
from hub.contract.errors import PortalError
from hub.store import tables as t


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it may be written: raw, URL-encoded, escaped for XML, HTML and JSON, and inside base64."""
    raw = secret.encode()
    yield from {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), quote(secret).lower().encode()}
    yield from {escape(secret).encode(), quoteattr(secret)[1:-1].encode(), escape(secret, {'"': "&quot;"}).encode()}
    yield secret.replace("\\", "\\\\").replace('"', '\\"').encode()
    for before in range(3):  # whatever stands before it, these signs depend on the secret alone
        coded = base64.b64encode(b"\0" * before + raw)
        inner = coded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def silent(stand: Stand, *written: tuple[str, bytes]) -> None:
    """Assert that no secret of this stand is written anywhere here: places and what stands there."""
    for secret in stand.secrets:
        for form in forms(secret):
            assert [] == [where for where, content in written if form in content]


def told_by(error: BaseException | None) -> bytes:
    """Everything that hangs on an exception."""
    told = b""
    while error is not None:
        told += f"{error!s} {error!r} {error.args!r} {error.__dict__!r}".encode()
        error = error.__cause__
    return told


class Secrecy(Base):
    """Canaries."""

    def test_no_error_tells_a_secret(
        self, desk: Desk, stand: Stand, caplog: pytest.LogCaptureFixture, failing: Fault
    ) -> None:
        """Neither message, nor what hangs on it, nor the log, nor the diagnostics of a submit that fails.

        (Of questions that fail: test_could_not_ask_is_never_absent.)
        """
        needs(stand.secrets, "it has no secrets")
        caplog.set_level(logging.DEBUG)
        with desk.connector(arm(stand, failing, verb="submit")) as connector, pytest.raises(PortalError) as raised:
            desk.submit(connector, desk.invoice("MUM-1"))
        kept = [("diagnostics", content) for content in desk.lent.kept]
        silent(stand, ("the error", told_by(raised.value)), *kept, ("the log", caplog.text.encode()))

    def test_settings_and_connector_show_no_secret(self, desk: Desk, stand: Stand) -> None:
        """Repr and str are safe to log, and prepared steps hold none."""
        needs(stand.secrets, "it has no secrets")
        with desk.connector() as connector:
            shown = f"{connector.settings!r} {connector.settings} {connector!r} {connector.__dict__!r}"
            steps = repr(desk.steps(connector, desk.invoice("SHOW-1")))
        silent(stand, ("settings", shown.encode()), ("steps", steps.encode()))

    def test_nothing_that_the_hub_writes_holds_a_secret(
        self,
        desk: Desk,
        stand: Stand,
        house: House,
        build: Callable[..., House],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Ledger, archive, logs and tasks, after what goes well, what fails, what is doubtful and a refused login."""
        needs(stand.secrets, "it has no secrets")
        caplog.set_level(logging.DEBUG)
        numbers = [f"CANARY-{n}" for n, _ in enumerate(stand.faults)]
        for number, fault in zip(numbers, stand.faults, strict=True):
            if "submit" in fault.befalls and fault.by == "control" and fault.name != "refuse" and not fault.seconds:
                stand.befall(fault, number=number)
        house.put(*map(desk.invoice, numbers))
        house.work()
        houses = [house]
        if (wrong := stand.wrong()) is not None:
            houses.append(build(wrong))
            houses[-1].put(desk.invoice("CANARY-X"))
            houses[-1].work()
        assert house.rows(t.attempt), "nothing was tried"
        for each in houses:
            each.close()
            silent(stand, *self._written(each.folder))
        silent(stand, ("log", caplog.text.encode()))

    @staticmethod
    def _written(folder: Path) -> Iterator[tuple[str, bytes]]:
        """Every file of a workspace but the secrets themselves; the ledger row by row as well."""
        for path in folder.rglob("*"):
            if path.is_file() and path.parent != folder / "secrets":
                yield str(path.relative_to(folder)), path.read_bytes()
        ledger = sqlite3.connect(folder / "hub.db")
        yield "rows of hub.db", "\n".join(ledger.iterdump()).encode()
        ledger.close()
