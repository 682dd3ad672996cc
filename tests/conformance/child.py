"""What the suite lets another process do; run by its path, so that nothing but what is needed is loaded.

prepare                              the hash of the steps of what stands, pickled, on the standard input
work FOLDER NAME MODULE CLASS POINT  one pass over a workspace, which dies without warning at a point (hub/durable.py)
"""

from __future__ import annotations

import hashlib
import importlib
import operator
import os
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from hub.contract.connector import Context, Deadline, Step, Tokens


def fingerprint(steps: tuple[Step, ...]) -> str:
    """A hash over everything that a step says."""
    return hashlib.sha256(repr(steps).encode()).hexdigest()


def prepare(given: bytes) -> str:
    """What the pickled connector makes of the pickled invoice; it may reach nothing."""
    kind, settings, mapped, stamp = pickle.loads(given)  # noqa: S301 - the suite itself wrote it
    nothing: Any = None
    context = Context(nothing, nothing, nothing, Tokens(), threading.Event(), Deadline(60), lambda: None)
    connector = kind(settings, context)
    steps = connector.prepare(mapped, stamp, None)
    connector.close()
    return fingerprint(steps)


def work(folder: Path, name: str, module: str, qualname: str, point: str) -> None:
    """One pass of the real hub with this connector, until it dies."""
    from hub import durable  # noqa: PLC0415 - whoever only prepares needs none of it
    from hub.delivery import registry  # noqa: PLC0415
    from hub.delivery.workspace import open_workspace  # noqa: PLC0415
    from hub.engine import local  # noqa: PLC0415

    def landed(what: str) -> None:
        if what == point:
            os.kill(os.getpid(), signal.SIGKILL)

    known, connector = registry.connector_class, operator.attrgetter(qualname)(importlib.import_module(module))
    registry.connector_class = lambda asked: connector if asked == name else known(asked)
    ws = open_workspace(folder)
    durable.landed = landed
    local.once(ws, quiet=0)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        print(prepare(sys.stdin.buffer.read()))  # noqa: T201 - the suite reads it
    else:
        work(Path(sys.argv[2]), *sys.argv[3:])
