"""A listening port that can be taken away and given back, with one thread per connection."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from hub.simulators.wire import Refused, Request, Wire, page

HOST = "127.0.0.1"
BACKLOG = 512

Answer = Callable[[Wire, Request], None]


class Server:
    """Serves `answer` on 127.0.0.1. `shut` closes the port itself: connections are refused, not taken and dropped."""

    def __init__(self, answer: Answer, *, port: int, max_body: int, tls: tuple[Path, Path] | None = None) -> None:
        self._answer = answer
        self._max_body = max_body
        self._context = _tls(tls) if tls else None
        self._listener: socket.socket | None = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        self._wanted = True
        self._changed = threading.Condition()
        self._bell, self._button = socket.socketpair()
        self._idle: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True, name=f"accept-{self.port}").start()

    @property
    def listening(self) -> bool:
        """Whether the port is, or is about to be, open."""
        return self._wanted

    def shut(self) -> None:
        """Close the port and every idle connection; returns when the next connection will be refused."""
        self._want(listening=False)
        for sock in tuple(self._idle):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, whose state is its own thread's

    def open(self) -> None:
        """Open the same port again; returns when connections are accepted."""
        self._want(listening=True)

    def _want(self, *, listening: bool) -> None:
        with self._changed:
            self._wanted = listening
            self._button.send(b"!")
            if not self._changed.wait_for(lambda: (self._listener is not None) == listening, timeout=5):
                raise TimeoutError(f"port {self.port} could not be {'opened' if listening else 'closed'} within 5 s")

    def _accept(self) -> None:
        # One thread opens, accepts and closes: a listener closed under a waiting accept would go on listening.
        selector = selectors.DefaultSelector()
        selector.register(self._bell, selectors.EVENT_READ)
        if self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._bell:
                    self._bell.recv(1)
                    self._follow(selector)
                elif self._listener and key.fileobj is self._listener:
                    self._take(self._listener)

    def _follow(self, selector: selectors.BaseSelector) -> None:
        with self._changed:
            if self._wanted and self._listener is None:
                self._listener = _listen(self.port)
                selector.register(self._listener, selectors.EVENT_READ)
            elif not self._wanted and self._listener is not None:
                selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            self._changed.notify_all()

    def _take(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return  # the peer was gone before we took it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._converse, args=(sock,), daemon=True).start()

    def _converse(self, sock: socket.socket) -> None:
        try:
            if self._context:
                sock.settimeout(10)
                sock = self._context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        wire = Wire(sock)
        try:
            self._requests(sock, wire)
        except Refused as refused:
            with contextlib.suppress(OSError):
                wire.reply(refused.reply)
                wire.drain()
        except OSError:
            pass  # the peer broke the line, or said nothing for too long
        finally:
            self._idle.discard(sock)
            wire.close()

    def _requests(self, sock: socket.socket, wire: Wire) -> None:
        while wire.open:
            self._idle.add(sock)
            request = wire.read(self._max_body)
            self._idle.discard(sock)
            if request is None or not self._wanted:  # the port went away while this was read: nothing is done
                return
            try:
                self._answer(wire, request)
            except OSError:
                raise
            except Exception:  # noqa: BLE001 - a fault of ours must not pass for a portal's silence
                traceback.print_exc(file=sys.stderr)
                wire.reply(page(500, "Simulator fault", "See the simulator's error output."))
            if not self._wanted or (request.header("Connection") or "").lower() == "close":
                return


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"port {port} of {HOST} cannot be opened ({error.strerror}); name another") from None
    sock.listen(BACKLOG)
    return sock


def _tls(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context
