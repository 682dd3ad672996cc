"""A workspace like the demo's with the simulated network behind it, for tests of the whole program."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from click.testing import CliRunner, Result

from fixtures import cast
from fixtures.ubl import ubl
from hub import demo
from hub.cli import main
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine import local
from hub.simulators.client import Simulator
from hub.store import tables as t
from hub.view import Filters, InvoiceRow, explain, invoices

ROOT = Path(__file__).resolve().parent.parent
HUB = Path(sys.executable).with_name("hub")
FIXTURES = ROOT / "fixtures" / "invoices"
NETWORK: dict[str, Any] = json.loads((ROOT / "hub" / "simulators" / "demo.json").read_text(encoding="utf-8"))
SECRETS = [
    f"demo-{name}-{country}" for name in ("secret", "client-secret", "api-key") for country in ("us", "de")
]  # of the demo


def network(**changes: object) -> dict[str, Any]:
    """The demo's network with other settings."""
    return NETWORK | changes


class Clock:
    """The hub's clock, which can be moved on."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


@dataclass
class Bench:
    """A workspace, the network that it sends to, and what a test asks of both."""

    folder: Path
    network: Simulator
    clock: Clock = field(default_factory=Clock)

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    def change(self, old: str, new: str) -> None:
        """Change hub.yaml; what is to be changed must stand there."""
        file = self.folder / "hub.yaml"
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in hub.yaml"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def put(self, name: str, content: bytes) -> None:
        """Put a file into the inbox."""
        (self.inbox / name).write_bytes(content)

    @contextlib.contextmanager
    def open(self) -> Iterator[Workspace]:
        """The workspace, for a while."""
        ws = open_workspace(self.folder, now=self.clock)
        try:
            yield ws
        finally:
            ws.close()

    def arm(self) -> None:
        """Let this copy send, as a person may who knows that no other did."""
        with self.open() as ws:
            with ws.db.writing("test") as tx:
                done = ws.arming.arm(tx, actor="person:test", why="a copy for one test")
            done()

    def work(self, *, later: float = 0.0) -> None:
        """One pass, with the clock moved on by so many seconds before."""
        self.clock.ahead += dt.timedelta(seconds=later)
        with self.open() as ws:
            local.once(ws, quiet=0)

    def rows(self) -> dict[str, InvoiceRow]:
        """How every invoice stands, by number."""
        with self.open() as ws:
            page = invoices(ws.db, Filters(), now=ws.now(), limit=1000)
        return {row.number: row for row in page.rows}

    def row(self, number: str) -> InvoiceRow:
        """How one invoice stands."""
        return self.rows()[number]

    def states(self) -> dict[str, str]:
        """The submission of every invoice, by number."""
        return {number: str(row.submission) for number, row in self.rows().items()}

    def told(self, number: str) -> str:
        """Everything that is told of one invoice, as one text."""
        with self.open() as ws:
            return "\n".join(str(story) for story in explain(ws.db, ws.blobs, number, now=ws.now()))

    def lane(self, connection: str) -> Any:
        """What the ledger knows of a connection."""
        with self.open() as ws, ws.db.reading() as tx:
            return tx.execute(sa.select(t.connection).where(t.connection.c.key == connection)).one()

    def at_portal(self, number: str) -> list[dict[str, Any]]:
        """What the network keeps under this number."""
        return [document for document in self.network.documents() if document["number"] == number]


def make_bench(folder: Path, sim: Simulator, *, settles: str = "1s") -> Bench:
    """A workspace like the demo's, with an empty inbox."""
    folder.mkdir(parents=True, exist_ok=True)
    demo._set_up(folder, sim.url)
    for path in (folder / "inbox").iterdir():
        path.unlink()
    bench = Bench(folder, sim)
    bench.change("settles_within: 1s", f"settles_within: {settles}")
    return bench


_SERVICE = cast.Item(Decimal(1), "SV-900", "Wartung", Decimal("240.00"), "", (cast.VAT_19,))


def service(number: str, **changes: Any) -> bytes:
    """An invoice of the German company without an order, as UBL."""
    document = cast.Document(
        number,
        dt.date(2026, 11, 5),
        cast.RIDGELINE_DE,
        cast.MERIDIAN,
        (_SERVICE,),
        buyer_reference="Instandhaltung 0417",
        delivered=dt.date(2026, 10, 29),
    )
    return ubl(dataclasses.replace(document, **changes))


def elbow(number: str, quantity: int = 1) -> bytes:
    """An invoice of the American company for part of an order, as UBL."""
    item = cast.Item(Decimal(quantity), "FT-0005", "Elbow fitting, 1/2 in", Decimal("3.20"), "10", (cast.COLORADO,))
    order = {"order": "4500017002", "ordered": dt.date(2026, 9, 15)}
    return ubl(cast.Document(number, dt.date(2026, 10, 12), cast.RIDGELINE_US, cast.CASCADIA, (item,), **order))


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str


def hub(*arguments: str | Path, **environment: str) -> Ran:
    """The real command, as a process of its own."""
    done = subprocess.run(
        [HUB, *map(str, arguments)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


Command = Callable[..., Result]


def command(*arguments: str | Path) -> Result:
    """The command in this process; what it does not catch itself is raised."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


class Running:
    """The real command while it runs; what it says is gathered line by line."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [HUB, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def wait_for(self, pattern: str, seconds: float = 40) -> re.Match[str]:
        """The first line that it says with this pattern."""
        found: list[re.Match[str]] = []

        def said() -> bool:
            found.extend(match for line in list(self.lines) if (match := re.search(pattern, line)))
            return bool(found) or self.process.poll() is not None

        until(said, seconds)
        assert found, f"it never said {pattern!r}: {self.lines}"
        return found[0]

    def end(self, how: signal.Signals, seconds: float = 30) -> int:
        """Signal it and wait for its end; its exit status."""
        self.process.send_signal(how)
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds; fails if it never does."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.05)
