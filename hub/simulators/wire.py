"""HTTP/1.1 on a socket: whole requests in, whole replies out, and every byte between in the hands of a fault."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD = 64 * 1024
IDLE_SECONDS = 75.0  # a kept-alive connection that says nothing for so long is closed
DRAIN_SECONDS = 5.0
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request as it came, its headers in order and its body unchunked but otherwise untouched."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    scheme: str = "http"

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case; None where there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; "" where there is none."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Reply:
    """One reply. `outcome` says it in a word for the request log."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    outcome: str = ""

    def head(self) -> bytes:
        """The status line and the headers, with the empty line that ends them."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.media_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def page(status: int, title: str, text: str) -> Reply:
    """An HTML page, as a web server in front of a portal gives it."""
    html = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    )
    return Reply(status, "text/html; charset=utf-8", html.encode(), outcome=f"HTTP {status} {title}")


LOGIN_PATH = "/login"
LOGIN = Reply(
    200,
    "text/html; charset=utf-8",
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method='post' action='/login'>"
    b"<input name='user'><input name='password' type='password'><button>Sign in</button></form></body></html>",
    outcome="HTTP 200 Sign in",
)


class Refused(Exception):
    """The request cannot be read as HTTP, or is too large; the connection ends after the reply."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.reply = page(status, HTTPStatus(status).phrase, text)


class Wire:
    """One connection. Closing it twice is allowed."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._unread = 0  # of a body that was refused for its size
        self.open = True

    def read(self, max_body: int) -> Request | None:
        """The next request, or None when the peer is done. Raises Refused, and OSError when the line breaks."""
        self._sock.settimeout(IDLE_SECONDS)
        head = self._read_until(b"\r\n\r\n", MAX_HEAD)
        if head is None:
            return None
        request = _parsed(head)
        if (request.header("Expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_body(request, max_body)
        scheme = "https" if isinstance(self._sock, ssl.SSLSocket) else "http"
        return Request(request.method, request.path, request.query, request.headers, body, scheme)

    def send(self, content: bytes) -> None:
        """Put these bytes on the wire."""
        self._sock.sendall(content)

    def reply(self, reply: Reply) -> None:
        """Put a whole reply on the wire, head and body in one piece."""
        self.send(reply.head() + reply.body)

    def close(self) -> None:
        """End the connection in good order: what was sent still arrives."""
        if self.open:
            self.open = False
            self._sock.close()

    def reset(self) -> None:
        """Break the connection: the peer sees a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def drain(self) -> None:
        """Swallow what is still to come of a refused body, so that the peer reads our reply and not a reset."""
        self._sock.settimeout(DRAIN_SECONDS)
        ends = time.monotonic() + DRAIN_SECONDS
        while self._unread > 0 and time.monotonic() < ends and (got := self._sock.recv(MEGABYTE)):
            self._unread -= len(got)

    def _read_body(self, request: Request, max_body: int) -> bytes:
        length, coding = request.header("Content-Length"), request.header("Transfer-Encoding")
        if coding is not None:
            if coding.strip().lower() != "chunked" or length is not None:
                raise Refused(400, "Transfer-Encoding other than chunked, or beside a Content-Length")
            return self._read_chunks(max_body)
        if length is None:
            if request.method in {"POST", "PUT"}:
                raise Refused(411, "a POST needs a Content-Length or chunks")
            return b""
        if not (length.isascii() and length.isdigit()):
            raise Refused(400, f"Content-Length {length!r} is no number")
        if int(length) > max_body:
            self._unread = int(length) - len(self._buffer)
            raise Refused(413, f"the body has {length} bytes, more than {max_body}")
        return self._read_exactly(int(length))

    def _read_chunks(self, max_body: int) -> bytes:
        body = bytearray()
        while True:
            line = self._line().partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise Refused(400, "a chunk's size is no hexadecimal number") from None
            if size < 0 or len(body) + size > max_body:
                raise Refused(413, f"the body has more than {max_body} bytes")
            if size == 0:
                while self._line():
                    pass  # trailers
                return bytes(body)
            body += self._read_exactly(size)
            if self._line():
                raise Refused(400, "a chunk is longer than its size")

    def _line(self) -> bytes:
        line = self._read_until(b"\r\n", MAX_HEAD)
        if line is None:
            raise ConnectionError("the peer went away inside a body")
        return line

    def _read_until(self, mark: bytes, limit: int) -> bytes | None:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise Refused(431, f"no end of the headers within {limit} bytes")
            if not self._fill():
                return None
        got = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return got

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise ConnectionError("the peer went away inside a body")
        got = bytes(self._buffer[:size])
        del self._buffer[:size]
        return got

    def _fill(self) -> bool:
        got = self._sock.recv(256 * 1024)
        self._buffer += got
        return bool(got)


def parsed(request: bytes) -> Request:
    """A whole request that came by another way than a wire. Raises Refused."""
    head, _, body = request.partition(b"\r\n\r\n")
    return dataclasses.replace(_parsed(head), body=body)


def _parsed(head: bytes) -> Request:
    """The request line and the headers of `head`."""
    first, *rest = head.decode("latin-1").split("\r\n")
    match first.split(" "):
        case [method, target, "HTTP/1.1"] if target.startswith("/"):
            path, _, query = target.partition("?")
        case _:
            raise Refused(400, "the request line is not: METHOD /path HTTP/1.1")
    headers = []
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Refused(400, f"header line {line[:80]!r} is not: Name: value")
        headers.append((name, value.strip()))
    return Request(method, path, query, tuple(headers))
