"""The command line. Every error is one that a person can act on, and then the exit status is not zero."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from hub import doctor
from hub.contract.errors import PortalError
from hub.contract.status import Stage, Submission, WhoseMove
from hub.delivery import admit, recording, tasks
from hub.delivery.evidence import verify as verify_chain
from hub.delivery.probe import check_connection, resume
from hub.delivery.tasks import AnswerError, Say, Spoken
from hub.delivery.workspace import Workspace, open_workspace
from hub.demo import DemoError, demo
from hub.engine import local
from hub.engine.local import BusyError
from hub.engine.work import Progress, plainly
from hub.printing import print_explanations, print_status, print_tasks
from hub.requirements.customers import import_customers
from hub.scaffold import CannotInit
from hub.scaffold import init as make_workspace
from hub.sources.reading import read_paths
from hub.store.database import StoreError
from hub.view import InvoiceRow, Names, Page, as_json, explain, invoices, open_tasks, read_filters, summary
from hub.view.wording import clean, clean_lines
from hub.web.serving import serve
from hub.yamlsource import SourceError

_FEW = 10  # keys that a line can name
_ACTIONABLE = (
    SourceError,
    StoreError,
    BusyError,
    AnswerError,
    CannotInit,
    DemoError,
    admit.ConflictError,
    LookupError,
    PortalError,
    ValueError,
    OSError,
)


class Hub(click.Group):
    """Turns what a person can act on into one message and exit status 1; anything else is a defect and says so."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.exit(0)
        except _ACTIONABLE as error:
            words = error.args[0] if isinstance(error, KeyError) and error.args else error
            click.echo(f"hub: {words}", err=True)
            sys.exit(1)


@click.group(cls=Hub, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="HUB_WORKSPACE",
    help="The folder with hub.yaml; this folder if it is not named.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more of what happens.")
@click.version_option(package_name="portal-hub")
@click.pass_context
def main(ctx: click.Context, workspace: Path, *, verbose: bool) -> None:
    """Bring every invoice into its customer's portal, once, and show where each one stands."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    ctx.obj = workspace


@contextmanager
def _opened(folder: Path) -> Iterator[Workspace]:
    ws = open_workspace(folder)
    try:
        yield ws
    finally:
        ws.close()


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar per piece of work in a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield plainly
        return
    console = Console(stderr=True)
    yield lambda what, items, total: track(items, what, total, console=console, transient=True) if total else items


def _names(ws: Workspace) -> Names:
    config = ws.config
    return Names(
        {key: entity.name for key, entity in config.entities.items()},
        {key: customer.name for key, customer in config.customers.items()},
        {key: key for key in config.accounts},
    )


def _by(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--by", default=getpass.getuser, show_default="you", help="Who says so; kept beside what was done."
    )(command)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def init(directory: Path) -> None:
    """Make a workspace with a commented hub.yaml in DIRECTORY."""
    for path in make_workspace(directory):
        click.echo(f"made {path}")
    click.echo(f"Next: put your companies and customers into {directory / 'hub.yaml'}, then `hub doctor`.")


@main.command(name="doctor")
@click.pass_obj
def doctor_(folder: Path) -> None:
    """Say what is missing, and the exact fix."""
    checks = doctor.examine(folder)
    for looked in checks:
        mark = {True: "ok", False: "FAIL", None: "?"}[looked.ok]
        click.echo(f"{mark:<5}{looked.name}: {looked.says}" + (f"\n     fix: {looked.fix}" if looked.fix else ""))
    sys.exit(any(check.ok is False for check in checks))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json_", is_flag=True, help="One JSON object a file.")
def read(paths: tuple[Path, ...], *, as_json_: bool) -> None:
    """Read and check invoices without storing anything; exit status 1 if one was refused."""
    refused = False
    for reading in read_paths(paths):
        refused |= reading.outcome != "read"
        click.echo(json.dumps(reading.as_json(), ensure_ascii=False) if as_json_ else clean_lines(reading.as_line()))
    sys.exit(refused)


@main.command()
@click.option("--once", is_flag=True, help="One pass of everything that is due, then end.")
@click.pass_obj
def run(folder: Path, *, once: bool) -> None:
    """Watch the folders, send what is ready, collect statuses; until Ctrl-C."""
    with _opened(folder) as ws, _progress() as progress:
        if once:
            local.once(ws, progress)
            _show(ws)
            return
        ended = local.run(ws, lambda _: click.echo("running; Ctrl-C ends it", err=True))
        if not ended:
            click.echo("some work was still on the wire; the next start asks the portals about it", err=True)


@main.command()
@click.argument("connection", required=False)
@click.pass_obj
@_by
def check(folder: Path, connection: str | None, by: str) -> None:
    """Prove a connection's login without changing anything; resumes it if it was paused."""
    failed = False
    with _opened(folder) as ws:
        for key in [connection] if connection else list(ws.config.connections):
            try:
                checked = check_connection(ws, key)
            except PortalError as error:
                failed = True
                click.echo(f"{key}: failed: {clean(ws.archive.scrub.text(str(error)))}")
                continue
            for words in checked.proved:
                click.echo(f"{key}: proved: {words}")
            for words in checked.not_proved:
                click.echo(f"{key}: not proved: {words}")
            if resume(ws, key, by=by):
                click.echo(f"{key}: runs again")
    sys.exit(failed)


@main.command()
@click.option("--text", help="Part of a number, an order, a buyer's name or a portal's reference.")
@click.option("--entity")
@click.option("--customer")
@click.option("--account")
@click.option("--submission", "submissions", multiple=True, help=", ".join(Submission))
@click.option("--stage", "stages", multiple=True, help=f"{', '.join(Stage)}, or none")
@click.option("--whose-move", help=", ".join(WhoseMove))
@click.option("--kind")
@click.option("--json", "as_json_", is_flag=True, help="One JSON array, an object an invoice.")
@click.pass_obj
def status(folder: Path, /, *, as_json_: bool, **filters: Any) -> None:
    """Show where every invoice stands."""
    with _opened(folder) as ws:
        rows = list(_all_rows(ws, **filters))
        if as_json_:
            click.echo(json.dumps(as_json(rows), ensure_ascii=False, indent=1))
        else:
            _show(ws, rows)


def _show(ws: Workspace, rows: list[InvoiceRow] | None = None) -> None:
    page = Page(tuple(_all_rows(ws) if rows is None else rows), None)
    print_status(Console(), page, names=_names(ws), now=ws.now(), summary=summary(ws.db))


def _all_rows(ws: Workspace, **filters: Any) -> Iterator[InvoiceRow]:
    chosen = read_filters(ws.db, _names(ws), **filters)
    after = None
    while True:
        page = invoices(ws.db, chosen, now=ws.now(), after=after)
        yield from page.rows
        after = page.next
        if after is None:
            return


@main.command(name="explain")
@click.argument("number")
@click.pass_obj
def explain_(folder: Path, number: str) -> None:
    """Tell an invoice's whole story: what was checked, sent and said, and what comes next."""
    with _opened(folder) as ws:
        found = explain(ws.db, ws.blobs, number, now=ws.now())
        print_explanations(Console(), found, names=_names(ws), now=ws.now())


@main.group(name="tasks", invoke_without_command=True)
@click.pass_context
def tasks_(ctx: click.Context) -> None:
    """List what waits for a person."""
    if ctx.invoked_subcommand is None:
        with _opened(ctx.obj) as ws:
            print_tasks(Console(), open_tasks(ws.db), names=_names(ws), now=ws.now())


@tasks_.command()
@click.argument("task", type=int)
@click.option("--sent", "say", flag_value=Say.SENT, help="The portal has it.")
@click.option("--not-there", "say", flag_value=Say.NOT_THERE, help="It is not there, and may be sent.")
@click.option("--refused", "say", flag_value=Say.REFUSED, help="The portal refused it; give its words.")
@click.option("--withdraw", "say", flag_value=Say.WITHDRAW, help="It shall not be sent.")
@click.option("--done", "say", flag_value=Say.DONE, help="What was asked for is done.")
@click.option("--reference", help="The portal's number or confirmation.")
@click.option("--words", default="", help="The portal's words, or yours.")
@click.pass_obj
@_by
def answer(folder: Path, task: int, say: str | None, reference: str | None, words: str, by: str) -> None:
    """Answer TASK."""
    if say is None:
        raise click.UsageError("say what is true: --sent, --not-there, --refused, --withdraw or --done")
    with _opened(folder) as ws:
        tasks.answer(ws, task, Spoken(Say(say), by, reference, words))
        click.echo(f"task {task}: {say}")


@main.command()
@click.argument("number", required=False)
@click.argument("stage", required=False, type=click.Choice([s for s in Stage if s is not Stage.UNKNOWN]))
@click.option("--customer", help="Whose invoice, where two customers have one with this number.")
@click.option("--reason", default="", help="Why, in the buyer's words.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day it happened, if it is known.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Many at once, from a CSV.")
@click.pass_obj
@_by
def record(folder: Path, number: str | None, stage: str | None, file: Path | None, **said: Any) -> None:
    """Type in what became of an invoice: NUMBER STAGE, or --csv FILE (number,stage,customer,reason,on)."""
    by: str = said.pop("by")
    with _opened(folder) as ws:
        if file is not None:
            new, known = recording.record_csv(ws, file, by=by)
            click.echo(f"{new} recorded, {known} known already")
            return
        if number is None or stage is None:
            raise click.UsageError("name a NUMBER and a STAGE, or --csv FILE")
        day: dt.datetime | None = said.pop("day")
        recording.record(ws, recording.Said(number, Stage(stage), on=day.date() if day else None, **said), by=by)
        click.echo(f"{number}: {stage}")


@main.command()
@click.argument("number")
@click.option("--customer", help="Whose invoice, where two customers have one with this number.")
@click.option("--why", required=True)
@click.pass_obj
@_by
def withdraw(folder: Path, number: str, customer: str | None, why: str, by: str) -> None:
    """Take back an invoice that was not delivered."""
    with _opened(folder) as ws:
        admit.withdraw(ws, recording.current(ws, number, customer), by=by, why=why)
        click.echo(f"{number}: withdrawn")


@main.command()
@click.argument("number")
@click.option("--customer", help="Whose invoice, where two customers have one with this number.")
@click.option("--why", required=True)
@click.pass_obj
@_by
def again(folder: Path, number: str, customer: str | None, why: str, by: str) -> None:
    """Send a refused or withdrawn invoice once more as it is, after its cause is mended elsewhere."""
    with _opened(folder) as ws:
        admit.send_again(ws, recording.current(ws, number, customer), by=by, why=why)
        click.echo(f"{number}: goes once more")


@main.group()
def customers() -> None:
    """Keep the list of customers."""


@customers.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def import_(folder: Path, file: Path) -> None:
    """Check a CSV of customers and accounts, and take it over as the workspace's customers.csv."""
    with _opened(folder) as ws:
        imported = import_customers(file, ws.config)
    for what, keys in asdict(imported).items():
        named = ", ".join(keys[:_FEW]) + (" …" if len(keys) > _FEW else "")
        click.echo(f"{what}: {len(keys)}" + (f" ({named})" if keys else ""))
    click.echo("A hub that is running reads the list at its next start.")


@main.command()
@click.pass_obj
def verify(folder: Path) -> None:
    """Prove that nothing in the archive was changed or lost."""
    with _opened(folder) as ws, ws.db.reading() as tx:
        count, wrong = verify_chain(tx, ws.blobs)
    for words in wrong:
        click.echo(words)
    click.echo(f"{count} documents in the chain, {len(wrong)} things wrong")
    sys.exit(bool(wrong))


@main.command(name="serve")
@click.option("--port", type=int, help="Another port than hub.yaml's.")
@click.pass_obj
def serve_(folder: Path, port: int | None) -> None:
    """Show the view as a page on this machine, until Ctrl-C."""
    with _opened(folder) as ws:
        web = ws.config.web
        serve(ws.db, ws.blobs, _names(ws), web.host, web.port if port is None else port, say=click.echo)


@main.command(name="demo")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".demo"))
@click.option("--once", is_flag=True, help="Show the result and end, without the page.")
@click.option("--json", "as_json_", is_flag=True, help="Print the view as JSON.")
@click.option("--port", type=int, default=0, help="The page's port; a free one if it is not named.")
def demo_(folder: Path, *, once: bool, as_json_: bool, port: int) -> None:
    """Do the whole job on simulated portals with a dozen fixture invoices, then show the page."""

    def say(words: str) -> None:
        click.echo(words, err=as_json_)

    with _progress() as progress, demo(folder, say, progress=progress) as ws:
        rows = list(_all_rows(ws))
        if as_json_:
            click.echo(json.dumps(as_json(rows), ensure_ascii=False, indent=1))
        else:
            _show(ws, rows)
            click.echo(f"Look closer: hub -w {folder} explain RV-26-1003")
        if not once:
            serve(ws.db, ws.blobs, _names(ws), ws.config.web.host, port, say=say)
