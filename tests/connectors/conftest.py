"""What tests of connectors lend them: a context that notes what is asked of it, and a portal of raw sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from hub.contract.connector import Context, Deadline, Tokens

Behaviour = Callable[["Portal", socket.socket], None]


@dataclass
class Lent:
    """The hub's side of a connector's context, noting in `asked` what happened, in order."""

    asked: list[str] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)

    def wait(self, verb: str) -> None:
        self.asked.append(f"gate {verb}")

    def keep(self, name: str, content: bytes) -> None:
        self.kept[name] = content

    def read(self, sha256: str) -> bytes:
        if sha256 not in self.stored:
            raise FileNotFoundError(sha256)
        return self.stored[sha256]

    def point_of_no_return(self) -> None:
        self.asked.append("point of no return")


@pytest.fixture
def lent() -> Lent:
    """What the context below notes."""
    return Lent()


@pytest.fixture
def context(lent: Lent) -> Context:
    """A context with ten seconds for each test."""
    return Context(lent, lent, lent, Tokens(), threading.Event(), Deadline(10), lent.point_of_no_return)


class Portal:
    """A server that does byte for byte what it is told, connection by connection; the last behaviour goes on for ever.

    A behaviour is a reply to each request that is heard, or a function of the portal and the connection.
    """

    def __init__(self, *behaviours: bytes | Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self._behaviours = list(behaviours)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hear(self, line: socket.socket) -> bytes:
        """One whole request: its headers, and as much body as they announce; nothing when the other side has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = line.recv(65536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(row[15:]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += line.recv(65536)
        self.heard.append(head + b"\r\n\r\n" + body)
        return self.heard[-1]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._open:
            line.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
            threading.Thread(target=self._talk, args=(line, behaviour), daemon=True).start()

    def _talk(self, line: socket.socket, behaviour: bytes | Behaviour) -> None:
        try:
            if self._tls is not None:
                line = self._tls.wrap_socket(line, server_side=True)
            self._open.append(line)
            if isinstance(behaviour, bytes):
                while self.hear(line):
                    line.sendall(behaviour)
                    if b"content-length" not in behaviour.lower():
                        return  # only the end of the connection ends this reply
            else:
                behaviour(self, line)
        except (OSError, ValueError):
            pass  # the other side has gone
        finally:
            line.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Portal]]:
    """Start portals; all are closed after the test."""
    started: list[Portal] = []

    def start(*behaviours: bytes | Behaviour, tls: ssl.SSLContext | None = None) -> Portal:
        started.append(Portal(*behaviours, tls=tls))
        return started[-1]

    yield start
    for portal in started:
        portal.close()
