"""A line between a connector and its portal that can be broken on purpose: real sockets, real TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from hub.simulators.client import Simulator

_T = TypeVar("_T")


@dataclass
class _Exchange:
    """One request on its way through a line, whole, and where it goes."""

    client: socket.socket
    request: bytes
    to_portal: Callable[[bytes], None]
    reply: Callable[[], bytes]  # what the portal answers, or as much as came of it
    wait: Callable[[float | None], object]  # seconds; None: until the line is closed
    seconds: float

    def ask(self) -> bytes:
        """The request arrives whole; the portal's reply."""
        self.to_portal(self.request)
        return self.reply()


def _cut_request(exchange: _Exchange) -> bool:
    exchange.to_portal(exchange.request[: len(exchange.request) // 2])
    return False


def _black_hole(exchange: _Exchange) -> bool:
    exchange.client.recv(1)  # until the client is tired of it, or the line closes
    return False


def _cut_reply(exchange: _Exchange) -> bool:
    reply = exchange.ask()
    exchange.client.sendall(reply[: len(reply) // 2])
    return False


def _reset_in_reply(exchange: _Exchange) -> bool:
    reply = exchange.ask()
    exchange.client.sendall(reply[: len(reply) // 2])
    exchange.wait(0.05)  # a reset may take away what was not read yet
    _reset(exchange.client)
    return False


def _delay(exchange: _Exchange) -> bool:
    exchange.wait(exchange.seconds)
    exchange.client.sendall(exchange.ask())
    return True


def _drip(exchange: _Exchange) -> bool:
    reply = exchange.ask()
    for i in range(len(reply)):
        exchange.client.sendall(reply[i : i + 1])
        exchange.wait(exchange.seconds / len(reply))
    return True


def _tls_broken(exchange: _Exchange, *, in_body: bool = False) -> bool:
    if not isinstance(exchange.client, ssl.SSLSocket):
        raise TypeError("this line speaks no TLS that could be broken: give it tls=(cert, key)")
    reply = exchange.ask()
    body = reply.find(b"\r\n\r\n") + 4
    exchange.client.sendall(reply[: (body + len(reply)) // 2 if in_body else body // 2])
    record = b"\x17\x03\x03\x00\x40" + os.urandom(64)  # application data that no key of theirs has made
    socket.socket.sendall(exchange.client, record)  # below TLS
    with contextlib.suppress(OSError):
        exchange.client.recv(1)  # its alert
    return False


# What can befall one exchange; False: the connection ends with it.
_ON_THE_LINE: Mapping[str, Callable[[_Exchange], bool]] = {
    "cut_request": _cut_request,
    "black_hole": _black_hole,
    "cut_reply": _cut_reply,
    "reset_in_reply": _reset_in_reply,
    "delay": _delay,
    "drip": _drip,
    "tls_broken": _tls_broken,
    "tls_broken_in_body": lambda exchange: _tls_broken(exchange, in_body=True),
}


@dataclass(eq=False)
class _Armed:
    """A fault that waits for a request."""

    name: str
    left: int | None
    hits: Callable[[bytes], bool]
    seconds: float


@dataclass
class _Open:
    """What a line has open."""

    sockets: set[socket.socket] = field(default_factory=set)
    threads: set[threading.Thread] = field(default_factory=set)


class Line:
    """A line to a portal that can be broken; what goes wrong at the portal itself passes through as it is.

    It hears whole requests (HTTP/1.1 with a Content-Length), so that a fault can choose the one it befalls. With
    `tls` (certificate and key, PEM) it speaks TLS to the client; `portal_tls` says that the portal speaks TLS, whatever
    its certificate. Every socket and thread ends with the block.
    """

    def __init__(
        self, portal: tuple[str, int], tls: tuple[Path, Path] | None = None, *, portal_tls: bool = False
    ) -> None:
        self._portal = portal
        self._tls = _serving(tls) if tls else None
        self._onward = _trusting() if portal_tls else None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._armed: list[_Armed] = []
        self._open = _Open()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @classmethod
    def before(cls, sim: Simulator, tls: tuple[Path, Path] | None = None) -> Self:
        """A line to this simulator's port."""
        parts = urlsplit(sim.url)
        assert parts.hostname
        assert parts.port
        return cls((parts.hostname, parts.port), tls, portal_tls=parts.scheme == "https")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def arm(
        self,
        name: str,
        times: int | None = 1,
        *,
        hits: Callable[[bytes], bool] = lambda _request: True,
        seconds: float = 0.5,
    ) -> None:
        """Let a fault befall the next `times` requests that it `hits` (None: until cleared); `refuse` lasts."""
        if name == "refuse":
            self._refuse()
            return
        if name not in _ON_THE_LINE:
            raise ValueError(f"{name} is none of refuse, {', '.join(_ON_THE_LINE)}")
        if name.startswith("tls") and self._tls is None:
            raise ValueError(f"{name}: this line speaks no TLS; give it tls=(cert, key)")
        with self._lock:
            self._armed.append(_Armed(name, times, hits, seconds))

    @property
    def armed(self) -> list[str]:
        """What still waits for a request."""
        return [armed.name for armed in self._snapshot(self._armed)]

    def clear(self) -> None:
        """Disarm everything, and open the port if it was closed."""
        with self._lock:
            self._armed.clear()
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        """End every connection and thread."""
        self._closing.set()
        self._refuse()
        for thread in self._snapshot(self._open.threads):
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} goes on after its line was closed"

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._accepting = self._start(self._accept, self._listener)

    def _refuse(self) -> None:
        """Close the port and what came through it; the next connection is refused."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        _shut(listener)  # wakes its accept
        self._accepting.join()
        for sock in self._snapshot(self._open.sockets):
            _shut(sock)

    def _start(self, work: Callable[[socket.socket], None], sock: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(work, sock), daemon=True, name=f"line-{self.port}")
        with self._lock:
            self._open.threads.add(thread)
        thread.start()
        return thread

    def _run(self, work: Callable[[socket.socket], None], sock: socket.socket) -> None:
        try:
            work(sock)
        finally:
            with self._lock:
                self._open.threads.discard(threading.current_thread())

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):  # until it is shut
            while True:
                client, _ = listener.accept()
                self._start(self._converse, client)

    def _converse(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(client.close)  # wrapped, it is another's
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            self._keep(stack, client)
            if isinstance(client, ssl.SSLSocket):
                client.do_handshake()
            self._exchanges(client, stack)

    def _exchanges(self, client: socket.socket, stack: contextlib.ExitStack) -> None:
        portal: list[socket.socket] = []

        def to_portal(content: bytes) -> None:
            if not portal:
                sock = socket.create_connection(self._portal)
                if self._onward:
                    sock = self._onward.wrap_socket(sock, do_handshake_on_connect=False)
                self._keep(stack, sock)
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                portal.append(sock)
            portal[0].sendall(content)

        def reply() -> bytes:
            try:
                return _message(portal[0])[0]
            except ConnectionResetError:
                _reset(client)  # as it would without this line
                raise

        while True:
            request, whole = _message(client)
            if not whole:
                return
            armed = self._take(request)
            seconds = armed.seconds if armed else 0.0
            exchange = _Exchange(client, request, to_portal, reply, self._closing.wait, seconds)
            if not (_ON_THE_LINE[armed.name] if armed else _pass)(exchange):
                return

    def _take(self, request: bytes) -> _Armed | None:
        """The fault that befalls this request, counted as used once."""
        with self._lock:
            candidates = tuple(self._armed)
        for armed in candidates:
            if armed.hits(request):
                with self._lock:
                    if armed not in self._armed:
                        continue  # another request was quicker
                    if armed.left is not None:
                        armed.left -= 1
                    if armed.left == 0:
                        self._armed.remove(armed)
                return armed
        return None

    def _keep(self, stack: contextlib.ExitStack, sock: socket.socket) -> None:
        """Close this socket with its conversation, and let `close` end it before."""
        stack.callback(sock.close)
        with self._lock:
            self._open.sockets.add(sock)
        stack.callback(self._forget, sock)
        if self._listener is None:  # it was closed while this one was taken
            _shut(sock)

    def _forget(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.sockets.discard(sock)

    def _snapshot(self, things: Iterable[_T]) -> tuple[_T, ...]:
        with self._lock:
            return tuple(things)


def _pass(exchange: _Exchange) -> bool:
    """All goes well, as far as the portal lets it."""
    reply = exchange.ask()
    exchange.client.sendall(reply)
    return _whole(reply)


def _message(sock: socket.socket) -> tuple[bytes, bool]:
    """One request or reply, or as much as comes of it, and whether it is whole."""
    got = b""
    while not _whole(got):
        more = sock.recv(256 * 1024)
        if not more:
            return got, False
        got += more
    return got, True


def _whole(message: bytes) -> bool:
    head, end, body = message.partition(b"\r\n\r\n")
    rows = head.lower().split(b"\r\n")
    length = next((int(row.partition(b":")[2]) for row in rows if row.startswith(b"content-length:")), 0)
    return bool(end) and len(body) >= length


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, whose state is its own thread's


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _serving(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
