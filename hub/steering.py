"""The commands that stop all sending, and let it begin again: `hub stop-all`, `hub arm`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hub.delivery import arming
from hub.engine import before_arming
from hub.engine.before_arming import Found
from hub.shell import by_whom, opened, progress
from hub.view.wording import clean_lines

_FEW = 20  # lines of a kind
_WORD = "arm"


@click.command(name="stop-all")
@click.option("--why", default="no reason was given", show_default=True)
@click.pass_obj
@by_whom
def stop_all(folder: Path, why: str, by: str) -> None:
    """Send nothing more, at once, also from a hub that is running; until `hub arm`."""
    with opened(folder) as ws:
        with ws.db.writing("steering.stop-all") as tx:
            stopped = arming.disarm(tx, why=f"stopped by {by}: {why}", actor=f"person:{by}", at=ws.now())
        click.echo(
            "nothing more is sent; `hub arm` lets it begin again" if stopped else "nothing was sent before either"
        )


@click.command()
@click.option("--yes", is_flag=True, help="Arm it if nothing hinders it, without asking.")
@click.option("--nothing-lost", is_flag=True, help="You vouch: the latest ledger, the only copy, as after a move.")
@click.option("--by-hand", multiple=True, metavar="CONNECTION", help="Its portal cannot be asked; people look there.")
@click.option("--why", default="looked for what may have been forgotten", show_default=True)
@click.pass_obj
@by_whom
def arm(folder: Path, by_hand: tuple[str, ...], why: str, by: str, *, yes: bool, nothing_lost: bool) -> None:
    """Look for what this workspace may have sent and forgotten, and let it send (again).

    Without --yes it says what it found, and asks. Exit status 1 if it is not armed in the end.
    """
    with opened(folder) as ws, progress() as shown:
        unknown = set(by_hand) - set(ws.config.connections)
        if unknown:
            raise LookupError(f"hub.yaml has no connection {', '.join(sorted(unknown))}")
        with ws.db.reading() as tx:
            stands, why_not = ws.arming.judge(tx), ws.arming.refusal(tx)
        if why_not is None:
            click.echo("it is armed already")
            return
        click.echo(clean_lines(f"not armed: {why_not}"))
        hands, found = frozenset(by_hand), Found()
        if not ws.arming.joins(stands):
            found = before_arming.look(ws, by_hand=hands, trusted=nothing_lost, progress=shown)
            _tell(found)
        if found.hinders:
            click.echo(
                "not armed: mend what hinders it and run it again, or name a connection with --by-hand", err=True
            )
            sys.exit(1)
        if not (yes or _agreed()):
            click.echo("not armed", err=True)
            sys.exit(1)
        before_arming.arm(ws, found, by=by, why=why, by_hand=hands, trusted=nothing_lost or ws.arming.joins(stands))
        click.echo("armed: what is ready is sent from now on")


def _agreed() -> bool:
    """Whether a person at the keyboard says so; nobody else can."""
    if not _at_keyboard():
        return False
    said: str = click.prompt(
        f"Is this the only copy that shall send? Type {_WORD!r} to arm it", default="", show_default=False
    )
    return said.strip() == _WORD


def _at_keyboard() -> bool:
    return sys.stdin.isatty()


def _tell(found: Found) -> None:
    """What the look came to, in lines."""
    looks = ", ".join(f"{outcome}: {number}" for outcome, number in sorted(found.looks.items())) or "nothing to look up"
    lines = [f"looked up at the portals: {looks}"]
    if found.forgotten:
        lines.append(f"{found.forgotten} invoices of the done folders were unknown and came back")
    lines += _some("the portals show it otherwise", found.told)
    lines += _some("could not be taken in", found.left)
    if found.for_people:
        lines.append(
            f"{len(found.for_people)} invoices that no portal can prove absent go to people first (`hub tasks`)"
        )
    lines += [before_arming.strange(key, documents) for key, documents in found.strangers.items()]
    lines += [f"hinders: {what}: {told}" for what, told in found.hinders.items()]
    for line in lines:
        click.echo(clean_lines(line))


def _some(what: str, told: list[str]) -> list[str]:
    more = [f"{what}: and {len(told) - _FEW} more"] if len(told) > _FEW else []
    return [f"{what}: {one}" for one in told[:_FEW]] + more
