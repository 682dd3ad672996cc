"""What every command shares: errors as one message, log lines that are safe to read, an open workspace, who says so."""

from __future__ import annotations

import getpass
import io
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from hub.delivery.admit import ConflictError
from hub.delivery.arming import ArmError
from hub.delivery.recording import RecordError
from hub.delivery.tasks import AnswerError
from hub.delivery.workspace import Workspace, open_workspace
from hub.demo import DemoError
from hub.engine.local import BusyError
from hub.engine.work import Progress
from hub.scaffold import CannotInit
from hub.store.database import StoreError
from hub.view import FilterError
from hub.view.wording import clean_lines
from hub.yamlsource import SourceError

_SAY_EVERY = 5.0  # seconds between two lines about long work
_ACTIONABLE = (
    SourceError,
    StoreError,
    BusyError,
    AnswerError,
    ArmError,
    RecordError,
    CannotInit,
    DemoError,
    FilterError,
    ConflictError,
    LookupError,
    OSError,
)


class Hub(click.Group):
    """Turns what a person can act on into one message and exit status 1; anything else is a defect and says so."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, KeyError, IndexError):
            raise  # whoever read our output has gone, which click ends quietly; the others are defects
        except _ACTIONABLE as error:
            click.echo(f"hub: {clean_lines(str(error))}", err=True)
            sys.exit(1)


class _Plain(logging.Formatter):
    """Log lines without secrets and without what could drive a terminal."""

    scrub: Callable[[str], str] = str  # until a workspace is open, no secret is known

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return clean_lines(self.scrub(super().format(record)))


_LINES = _Plain("%(asctime)s %(levelname)s %(message)s")


def set_up_output(*, verbose: bool) -> None:
    """Let no letter that a terminal does not know end a command, and log to the error output."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    log = logging.StreamHandler()
    log.setFormatter(_LINES)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[log])


@contextmanager
def opened(folder: Path) -> Iterator[Workspace]:
    """The workspace in this folder, closed in the end; raises SourceError or StoreError."""
    ws = open_workspace(folder)
    _LINES.scrub = ws.archive.scrub.text
    try:
        yield ws
    finally:
        ws.close()


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar per piece of work in a terminal; elsewhere a plain line now and then, if it takes long."""
    if not sys.stderr.isatty():
        yield in_lines
        return
    console = Console(stderr=True)
    yield lambda what, items, total: track(items, what, total, console=console, transient=True) if total else items


def in_lines(what: str, items: Iterable[int], total: int) -> Iterator[int]:
    """The items, and a line about how far they are, every few seconds."""
    said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said >= _SAY_EVERY:
            said = time.monotonic()
            click.echo(f"{what}: {done} of {total}", err=True)


def by_whom(command: Callable[..., Any]) -> Callable[..., Any]:
    """Who says so: the user of this machine, if nobody else is named."""

    def named(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
        try:
            name = (getpass.getuser() if value is None else value).strip()
        except (KeyError, OSError):
            name = ""
        if not name:
            raise click.BadParameter("nobody is named; say who says so")
        return name

    return click.option("--by", callback=named, show_default="you", help="Who says so; kept beside what was done.")(
        command
    )
