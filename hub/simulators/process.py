"""The process of a simulator: its arguments, the line it says when it listens, and its end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from hub.simulators.control import Control
from hub.simulators.portal import Application, Portal

ENDS = {signal.SIGTERM, signal.SIGINT}


def arguments(name: str) -> argparse.ArgumentParser:
    """The arguments that every simulator takes; a portal adds its own."""
    parser = argparse.ArgumentParser(prog=f"python -m hub.simulators.{name}", description=f"A simulated {name}.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE.json", help="who trades with whom")
    parser.add_argument("--port", type=int, default=0, help="the portal's port; default: any free one")
    parser.add_argument("--control-port", type=int, default=0, help="the control plane's port; default: any free one")
    parser.add_argument("--tls", nargs=2, type=Path, metavar=("CERT", "KEY"), help="speak HTTPS at the portal's port")
    parser.add_argument("--settle", type=float, default=0.0, metavar="SECONDS", help="so long searches miss a document")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the process that started it ends")
    return parser


def serve(app: Application, options: argparse.Namespace) -> None:
    """Serve until SIGTERM, SIGINT or, where asked for, the end of standard input; says where it listens in one line."""
    # Blocked in every thread and waited for: a handler could run just before the wait, which then never ends.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    portal = Portal(app, options.port, tuple(options.tls) if options.tls else None)
    control = Control(portal, options.control_port)
    if options.until_stdin_closes:
        threading.Thread(target=_await_end_of_input, daemon=True).start()
    sys.stdout.write(json.dumps({"url": portal.server.url, "control": control.server.url}) + "\n")
    sys.stdout.flush()
    signal.sigwait(ENDS)


def _await_end_of_input() -> None:
    # The raw descriptor: a thread that waits inside sys.stdin's buffer would hold its lock while the process ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
