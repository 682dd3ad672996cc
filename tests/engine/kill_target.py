"""Works a workspace until it is told to stop: `python kill_target.py WORKSPACE [GRACE]`. Tests send it signals."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from pathlib import Path

import scripted

from hub.delivery.workspace import open_workspace
from hub.engine import local


def main(folder: Path, grace: float) -> None:
    """One line when it works, one when it has ended."""
    logging.basicConfig(level=logging.WARNING)
    local.CHECK_EVERY = local.RECONCILE_EVERY = dt.timedelta(seconds=0.2)
    scripted.install()
    ws = open_workspace(folder)
    ended = local.run(ws, lambda _: print("works", flush=True), grace=grace)  # noqa: T201 - the test reads it
    ws.close()
    print("ended" if ended else "abandoned", flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else local.GRACE_SECONDS)
