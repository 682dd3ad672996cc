"""The command line. Every error is one that a person can act on, and then the exit status is not zero."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hub import auditing, doctor, saying, steering
from hub.config import load_config
from hub.contract.errors import PortalError
from hub.contract.invoice import Kind
from hub.contract.status import Stage, Submission, WhoseMove
from hub.delivery.evidence import verify as verify_chain
from hub.delivery.probe import check_connection, resume
from hub.delivery.registry import settings_model
from hub.delivery.workspace import Workspace
from hub.demo import demo
from hub.engine import local
from hub.printing import print_explanations, print_status, print_tasks
from hub.requirements.cases import run_cases
from hub.requirements.customers import import_customers
from hub.requirements.extensions import load_extensions
from hub.scaffold import init as make_workspace
from hub.shell import Hub, by_whom, opened, progress, set_up_output
from hub.sources.reading import read_paths
from hub.view import (
    InvoiceRow,
    Names,
    Outcome,
    Page,
    as_json,
    explain,
    invoices,
    open_tasks,
    read_filters,
    summary,
)
from hub.view.wording import clean, clean_lines, standing, standstill

_FEW = 10  # keys that a line can name


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
    set_up_output(verbose=verbose)
    ctx.obj = workspace


def _names(ws: Workspace) -> Names:
    config = ws.config
    return Names(
        {key: entity.name for key, entity in config.entities.items()},
        {key: customer.name for key, customer in config.customers.items()},
        {key: key for key in config.accounts},
        {key: connection.submitting for key, connection in config.connections.items()},
        {key: account.time_zone for key, account in config.accounts.items()},
    )


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def init(directory: Path) -> None:
    """Make a workspace with a commented hub.yaml in DIRECTORY."""
    for path in make_workspace(directory):
        click.echo(f"made {path}")
    doctor_says = f"hub -w {shlex.quote(str(directory))} doctor"
    click.echo(f"Next: put your companies and customers into {directory / 'hub.yaml'}, then: {doctor_says}")


@main.command(name="doctor")
@click.pass_obj
def doctor_(folder: Path) -> None:
    """Say what is missing, and the exact fix."""
    checks = doctor.examine(folder)
    for looked in checks:
        mark = {True: "ok", False: "FAIL", None: "?"}[looked.ok]
        fix = f"\n     fix: {looked.fix}" if looked.fix else ""
        click.echo(clean_lines(f"{mark:<5}{looked.name}: {looked.says}{fix}"))
    sys.exit(any(check.ok is False for check in checks))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option("--json", "as_json_", is_flag=True, help="One JSON object a file.")
def read(paths: tuple[Path, ...], *, as_json_: bool) -> None:
    """Read and check invoices without storing anything; exit status 1 if one was refused."""
    refused = False
    for reading in read_paths(paths):
        refused |= reading.outcome != "read"
        click.echo(json.dumps(reading.as_json()) if as_json_ else clean_lines(reading.as_line()))
    sys.exit(refused)


@main.command()
@click.option("--once", is_flag=True, help="One pass of everything that is due, then end.")
@click.pass_obj
def run(folder: Path, *, once: bool) -> None:
    """Watch the folders, send what is ready, collect statuses; until Ctrl-C."""
    with opened(folder) as ws, progress() as shown:
        if once:
            local.once(ws, shown)
            _show(ws)
            return
        ended = local.run(ws, lambda _: click.echo("running; Ctrl-C ends it", err=True))
        if not ended:
            click.echo("some work was still on the wire; the next start asks the portals about it", err=True)


@main.command()
@click.argument("connection", required=False)
@click.pass_obj
@by_whom
def check(folder: Path, connection: str | None, by: str) -> None:
    """Prove a connection's login without changing anything; resumes it if it was paused."""
    failed = False
    with opened(folder) as ws:
        for key in [connection] if connection else list(ws.config.connections):
            try:
                checked = check_connection(ws, key)
            except PortalError as error:
                failed = True
                click.echo(f"{key}: failed: {clean(ws.archive.scrub.text(str(error)))}")
                continue
            lines = [f"proved: {words}" for words in checked.proved]
            lines += [f"not proved: {words}" for words in checked.not_proved]
            resumed = resume(ws, key, by=by)
            lines += [f"{what} goes on" for what in resumed]
            if resumed:
                lines.append("a hub that is running keeps the secrets it started with; restart it if you changed one")
            for words in lines:
                click.echo(f"{key}: {clean(ws.archive.scrub.text(words))}")
    sys.exit(failed)


@main.command()
@click.option("--text", help="Part of a number, an order, a buyer's name or a portal's reference.")
@click.option("--entity")
@click.option("--customer")
@click.option("--account")
@click.option("--submission", "submissions", multiple=True, help=", ".join(Submission))
@click.option("--stage", "stages", multiple=True, help=f"{', '.join(Stage)}, or none")
@click.option("--whose-move", help=", ".join(WhoseMove))
@click.option("--kind", help=", ".join(Kind))
@click.option("--outcome", help=", ".join(Outcome))
@click.option("--json", "as_json_", is_flag=True, help="One JSON array, an object an invoice.")
@click.pass_obj
def status(folder: Path, /, *, as_json_: bool, **filters: Any) -> None:
    """Show where every invoice stands."""
    with opened(folder) as ws:
        rows = list(_all_rows(ws, **filters))
        if as_json_:
            click.echo(json.dumps(as_json(rows), indent=1))
        else:
            _show(ws, rows)


def _show(ws: Workspace, rows: list[InvoiceRow] | None = None) -> None:
    """A table for people, lines for programs; what stands still is told to both."""
    console, stands = Console(), summary(ws.db)
    page = Page(tuple(_all_rows(ws) if rows is None else rows), None)
    print_status(console, page, names=_names(ws), now=ws.now(), summary=stands)
    if stands.armed and ws.arming.refused:
        click.echo(f"hub: nothing is sent from here: {clean(ws.arming.refused)}", err=True)
    if not console.is_terminal:
        for told in (*standstill(stands, ws.now()), *standing(page.rows, _names(ws), ws.now())):
            click.echo(f"hub: {told}", err=True)


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
    with opened(folder) as ws:
        found = explain(ws.db, ws.blobs, number, now=ws.now())
        print_explanations(Console(), found, names=_names(ws), now=ws.now())


@main.group(name="tasks", invoke_without_command=True)
@click.pass_context
def tasks_(ctx: click.Context) -> None:
    """List what waits for a person."""
    if ctx.invoked_subcommand is None:
        with opened(ctx.obj) as ws:
            stands = summary(ws.db)
            print_tasks(Console(), open_tasks(ws.db), names=_names(ws), now=ws.now(), summary=stands)


tasks_.add_command(saying.answer)
for command in (auditing.reconcile, saying.record, saying.withdraw, saying.again, steering.stop_all, steering.arm):
    main.add_command(command)


@main.group()
def customers() -> None:
    """Keep the list of customers."""


@customers.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def import_(folder: Path, file: Path) -> None:
    """Check a CSV of customers and accounts, and take it over as the workspace's customers.csv."""
    with opened(folder) as ws:
        imported = import_customers(file, ws.config)
    for what, keys in asdict(imported).items():
        named = ", ".join(keys[:_FEW]) + (" …" if len(keys) > _FEW else "")
        click.echo(f"{what}: {len(keys)}" + (f" ({named})" if keys else ""))
    click.echo("A hub that is running reads the list at its next start.")


@main.group()
def rules() -> None:
    """Look after what customers and portals demand."""


@rules.command(name="test")
@click.pass_obj
def test_rules(folder: Path) -> None:
    """Try the cases that stand beside the rules; exit status 1 if one does not come out as it says."""
    config = load_config(folder, settings_model)
    results = run_cases(config.rules_folders, load_extensions(config.mappings_folders))
    failed = [result for result in results if not result.ok]
    for result in failed:
        click.echo(clean_lines(f"{result.place}: {result.name}: {result.problem}"))
    click.echo(f"{len(results)} cases, {len(failed)} failed")
    sys.exit(bool(failed))


@main.group()
def evidence() -> None:
    """Look after the archive."""


@evidence.command()
@click.pass_obj
def verify(folder: Path) -> None:
    """Prove that nothing in the archive was changed or lost."""
    with opened(folder) as ws, ws.db.reading() as tx:
        count, wrong = verify_chain(tx, ws.blobs)
    for words in wrong:
        click.echo(words)
    click.echo(f"{count} documents in the chain, {len(wrong)} things wrong")
    sys.exit(bool(wrong))


_PORT = click.IntRange(0, 65_535)


@main.command(name="serve")
@click.option("--port", type=_PORT, help="Another port than hub.yaml's; 0 is a free one.")
@click.pass_obj
def serve_(folder: Path, port: int | None) -> None:
    """Show the view as a page on this machine, until Ctrl-C."""
    with opened(folder) as ws:
        _serve(ws, ws.config.web.port if port is None else port, click.echo)


def _serve(ws: Workspace, port: int, say: Callable[[str], None]) -> None:
    from hub.web.serving import serve  # noqa: PLC0415 - FastAPI takes its time, and no other command needs it

    serve(ws.db, ws.blobs, _names(ws), ws.config.web.host, port, say=say)


@main.command(name="demo")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".demo"))
@click.option("--once", is_flag=True, help="Show the result and end, without the page.")
@click.option("--json", "as_json_", is_flag=True, help="Print the view as JSON.")
@click.option("--port", type=_PORT, default=0, help="The page's port; a free one if it is not named.")
def demo_(folder: Path, *, once: bool, as_json_: bool, port: int) -> None:
    """Do the whole job on simulated portals with a dozen fixture invoices, then show the page."""

    def say(words: str) -> None:
        click.echo(words, err=as_json_)

    with progress() as shown, demo(folder, say, progress=shown) as ws:
        rows = list(_all_rows(ws))
        if as_json_:
            click.echo(json.dumps(as_json(rows), indent=1))
        else:
            _show(ws, rows)
            click.echo(f"Look closer: {shlex.quote(sys.argv[0])} -w {shlex.quote(str(folder))} explain RV-26-1003")
        if not once:
            _serve(ws, port, say)
