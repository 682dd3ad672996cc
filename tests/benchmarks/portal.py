"""`python -m tests.benchmarks.portal SECONDS`: a portal that takes so long over every answer, and is never the neck.

One loop, no framework: GET /invoices?number=N (find) has always `[]`, POST /invoices takes a document, and
GET /taken tells how many requests brought one and how many different bodies those had. Its port stands on the first
line that it prints; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Portal(asyncio.Protocol):
    """One kept-alive connection; a request at a time, as requests sends them."""

    taken: list[bytes] = []  # noqa: RUF012 - of all connections
    seconds: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody called."""
        self._line: asyncio.Transport = transport  # type: ignore[assignment]
        self._got = b""

    def data_received(self, data: bytes) -> None:
        """Part of a request, or the whole of it."""
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if len(body) < sum(int(line.partition(b":")[2]) for line in lengths):
            return
        self._got = b""
        seconds = self.seconds
        if head.startswith(b"POST /invoices"):
            self.taken.append(body)
            said: object = {"id": f"P-{len(self.taken)}", "words": "taken"}
        elif head.startswith(b"GET /taken"):
            said, seconds = {"times": len(self.taken), "different": len(set(self.taken))}, 0.0
        else:
            said = []
        asyncio.get_running_loop().call_later(seconds, self._say, json.dumps(said).encode())

    def _say(self, body: bytes) -> None:
        if not self._line.is_closing():
            self._line.write(_ANSWER % (len(body), body))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Portal, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    Portal.seconds = float(sys.argv[1])
    asyncio.run(_serve())
