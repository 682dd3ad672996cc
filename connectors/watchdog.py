"""Cuts exchanges off at their deadlines; one thread watches all of them."""

from __future__ import annotations

import math
import socket
import threading
import time
from contextlib import suppress


class Watchdog:
    """Cuts one exchange off at its deadline.

    requests' time-out is per read, so that a portal that drips a byte now and then holds a thread for ever. Only
    shutting the connection down wakes a blocked read, in headers, body and TLS handshake alike. The dog holds a
    duplicate of the socket's descriptor: wrapping it for TLS, or a reply's `Connection: close`, takes the first away.
    """

    def __init__(self, seconds: float) -> None:
        self.bitten = False
        self.ends = time.monotonic() + seconds
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        _PACK.add(self)

    def guard(self, line: socket.socket) -> bool:
        """Watch this connection from now on; False if the deadline has passed."""
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = socket.fromfd(line.fileno(), line.family, line.type)
            return not self.bitten

    def stop(self) -> None:
        """Let go; whether it has bitten is settled from here on."""
        _PACK.discard(self)
        with self._lock:
            if self._line is not None:
                self._line.close()
                self._line = None

    def bite(self) -> None:
        """The deadline has come."""
        with self._lock:
            self.bitten = True
            if self._line is not None:
                with suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)


class _Pack:
    """The dogs of this process, and the thread that lets each bite at its deadline: a thread for each would be dear."""

    def __init__(self) -> None:
        self._dogs: set[Watchdog] = set()
        self._changed = threading.Condition()
        self._wakes = math.inf  # monotonic: when the thread looks again
        self._thread: threading.Thread | None = None

    def add(self, dog: Watchdog) -> None:
        """Let it bite at its deadline."""
        with self._changed:
            self._dogs.add(dog)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            elif dog.ends < self._wakes:
                self._changed.notify()

    def discard(self, dog: Watchdog) -> None:
        """Its exchange has ended; when this returns, it has bitten or never will."""
        with self._changed:
            self._dogs.discard(dog)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for dog in [dog for dog in self._dogs if dog.ends <= now]:
                    self._dogs.remove(dog)
                    dog.bite()
                # Most have gone long before their deadline, so it looks once in many exchanges.
                self._wakes = min((dog.ends for dog in self._dogs), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)


_PACK = _Pack()
