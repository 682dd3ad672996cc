"""Starts a simulator as a process of its own and speaks to its control plane; for tests and the demo."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

START_SECONDS = 20.0
STOP_SECONDS = 5.0

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SimulatorFailed(Exception):
    """The simulator did not start, would not do what was asked, or had a fault of its own."""


class Simulator:
    """A running simulator. `url` is the portal, `control_url` its control plane."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, control_url: str) -> None:
        self.process = process
        self.url = url
        self.control_url = control_url

    @classmethod
    @contextlib.contextmanager
    def start(cls, config: Mapping[str, Any] | Path, portal: str = "ariba", **flags: object) -> Iterator[Self]:
        """A simulator that lives as long as the `with` block.

        Flags are those of the command line: settle=0.5, port=8080, tls=(cert, key), dtd=path. Raises SimulatorFailed if
        it does not start, or if it wrote anything to its error output while the block went well.
        """
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(config, Path):
                file = config
            else:
                file = Path(folder, "config.json")
                file.write_text(json.dumps(config), encoding="utf-8")
            errors = Path(folder, "errors")
            command = [sys.executable, "-m", f"hub.simulators.{portal}", "--until-stdin-closes", "--config", str(file)]
            with errors.open("wb") as stderr:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [*command, *_arguments(flags)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
                )
            with _ended(process):
                where = _first_line(process)
                if where is None:
                    raise SimulatorFailed(f"the simulator of {portal} did not start: {errors.read_text().strip()}")
                yield cls(process, where["url"], where["control"])
            if said := errors.read_text().strip():
                raise SimulatorFailed(f"the simulator of {portal} had a fault of its own: {said}")

    def control(self, method: str, path: str, body: Mapping[str, object] | None = None, **query: object) -> Any:
        """The answer to one control request, as POST reset; raises SimulatorFailed with its words if it will not."""
        url = f"{self.control_url}/control/{path}" + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, method=method)  # noqa: S310 - the loopback address it told us
        if body is not None:
            request.data = json.dumps(body).encode()
        try:
            with _OPENER.open(request, timeout=30) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorFailed(f"{method} {path}: {json.load(error)['error']}") from None

    def documents(self, *, raw: bool = False) -> list[dict[str, Any]]:
        """Every document the portal keeps, oldest first; `raw` adds the bytes and headers as they came."""
        found: list[dict[str, Any]] = self.control("GET", "documents", None, **({"raw": 1} if raw else {}))
        return found

    def requests(self, verb: str | None = None) -> list[dict[str, Any]]:
        """What was asked of the portal, oldest first; with `verb` only that."""
        return [entry for entry in self.control("GET", "requests") if verb in (None, entry["verb"])]

    def fault(self, name: str, **options: object) -> None:
        """Arm a fault: verb=, times=, number=, seconds= as hub/simulators/README.md says."""
        self.control("POST", "faults", {"fault": name, **options})

    def clear_faults(self) -> None:
        """Disarm every fault, let searches and feeds be honest, and open the port again if it was shut."""
        self.control("DELETE", "faults")

    def advance(self, number: str, **options: object) -> str:
        """Take an invoice one step on in the buyer's workflow; the new status."""
        return str(self.control("POST", "advance", {"number": number, **options})["status"])

    def set_status(self, number: str, status: str, **options: object) -> None:
        """Give an invoice any status word."""
        self.control("POST", "set", {"number": number, "status": status, **options})

    def reject(self, number: str, reason: str, **options: object) -> None:
        """Let the buyer reject an invoice."""
        self.control("POST", "reject", {"number": number, "reason": reason, **options})

    def fail(self, number: str, reason: str, **options: object) -> None:
        """Let the network refuse an invoice after it took it in."""
        self.control("POST", "fail", {"number": number, "reason": reason, **options})

    def pay(self, number: str, **options: object) -> None:
        """Let the buyer pay an invoice."""
        self.control("POST", "pay", {"number": number, **options})

    def clock(self, offset_seconds: float) -> None:
        """Set the portal's clock so far ahead of the real one."""
        self.control("POST", "clock", {"offset_seconds": offset_seconds})

    def search(self, *, lag_seconds: float | None, number: str | None = None) -> None:
        """Let searches show a document (None: every one) so many seconds late; None: never."""
        self.control("POST", "search", {"lag_seconds": lag_seconds, "number": number})

    def feed(self, tells: str, number: str | None = None) -> None:
        """Let the status feed tell an invoice (None: every one) `twice`, or a `stale` status behind the true one."""
        self.control("POST", "feed", {"tells": tells, "number": number})

    def forget_tokens(self) -> None:
        """Let no access token that was given be good any longer."""
        self.control("POST", "forget-tokens")

    def meaning(self, request: bytes) -> tuple[str, str | None]:
        """The verb of an HTTP request of this portal, and the invoice number it is about; nothing is done."""
        told = self.control("POST", "meaning", {"request": base64.b64encode(request).decode("ascii")})
        return told["verb"], told["number"]

    def reset(self) -> None:
        """Make the portal forget everything but its configuration."""
        self.control("POST", "reset")


def _arguments(flags: Mapping[str, object]) -> list[str]:
    arguments = []
    for name, value in flags.items():
        if value is not None:
            arguments.append(f"--{name.replace('_', '-')}")
            arguments += [str(part) for part in value] if isinstance(value, tuple | list) else [str(value)]
    return arguments


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, str] | None:
    """What the process says when it listens; None if it ends before, or says nothing in time."""
    lines: list[bytes] = []

    def read() -> None:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        lines.append(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    return json.loads(lines[0]) if lines and lines[0] else None


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends the process with the block, however the block ends."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
