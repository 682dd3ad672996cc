"""The hub as a process of its own, for tests that send it signals."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).with_name("kill_target.py")
ROOT = Path(__file__).resolve().parents[2]


class Process:
    """The hub in a process of its own."""

    def __init__(self, workspace: Path, *, grace: float = 20.0) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TARGET.parent}"}
        command = [sys.executable, str(TARGET), str(workspace), str(grace)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=workspace
        )
        assert self.process.stdout is not None
        assert "works\n" == self.process.stdout.readline()

    def end(self, number: int, *, seconds: float) -> tuple[int, str, str]:
        """Send a signal; exit status and what was said since."""
        self.process.send_signal(number)
        said, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, said, errors


@contextlib.contextmanager
def process(workspace: Path, *, grace: float = 20.0) -> Iterator[Process]:
    one = Process(workspace, grace=grace)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
