"""A process of its own at the gate or in the slots: `gate_process.py URL DEED LIMITS…`, started by `processes`."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from subprocess import PIPE, Popen

from hub.contract.connector import Deadline
from hub.delivery.gate import Gate
from hub.delivery.passes import Passes
from hub.delivery.slots import Slots, locks_beside
from hub.store.database import Database

KEY = "north"
Process = Popen[str]


def gate(url: str, limits: Mapping[float, int]) -> Gate:
    """The gate of the connection that these tests are about."""
    return Gate(KEY, limits, Passes(Database(url)))


@contextlib.contextmanager
def processes(url: str, deed: str, limits: Mapping[float, int], *, number: int = 1) -> Iterator[list[Process]]:
    """So many processes that do a deed; all have begun. What is left of them at the end is killed."""
    command = [sys.executable, __file__, url, deed, json.dumps(sorted(limits.items()))]
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            made.append(stack.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, text=True)))
            stack.callback(made[-1].kill)
        assert ["begun"] * number == [hear(process) for process in made]
        yield made


def hear(process: Process) -> str:
    """What it says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: Process, words: str) -> None:
    """Say a line to it."""
    assert process.stdin is not None
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def pass_on(gate: Gate, *, seconds: float, threads: int = 3) -> int:
    """Let threads pass again and again for a while; how many did."""
    ends = time.monotonic() + seconds
    passed: list[int] = []

    def go() -> None:
        mine = 0
        while time.monotonic() < ends:
            gate.wait("submit", left=lambda: 60.0)
            mine += 1
        passed.append(mine)

    workers = [threading.Thread(target=go) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(passed)


def main() -> None:
    url, deed, told = sys.argv[1:]
    limits = dict(json.loads(told))
    say("begun")
    if deed == "pass":  # once told how long
        say(pass_on(gate(url, limits), seconds=float(sys.stdin.readline())))
    elif deed == "wait":  # for its turn, having had one
        passing = gate(url, limits)
        for _ in range(2):
            passing.wait("submit", left=lambda: 1e6)
            say("passed")
    elif deed == "hold":  # a slot, until it is killed
        slots = Slots(KEY, locks_beside(Database(url)), threading.Event())
        with slots.one(1, left=Deadline(60).left):
            say("holds")
            time.sleep(600)


if __name__ == "__main__":
    main()
