"""The commands by which people say what they know or want: answers to tasks, statuses, withdrawals, repeats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hub.contract.status import Stage
from hub.delivery import admit, recording, tasks
from hub.delivery.recording import Said, Which
from hub.delivery.tasks import Say, Spoken
from hub.shell import by_whom, opened

_ANSWERS = {
    Say.SENT: "The portal has it.",
    Say.NOT_THERE: "It is not there, and may be sent.",
    Say.REFUSED: "The portal refused it; give its words.",
    Say.WITHDRAW: "It shall not be sent.",
    Say.DONE: "What was asked for is done.",
}


def _answers(command: Callable[..., Any]) -> Callable[..., Any]:
    for say, told in reversed(_ANSWERS.items()):
        command = click.option(f"--{say}", is_flag=True, help=told)(command)
    return command


@click.command()
@click.argument("task", type=int)
@_answers
@click.option("--reference", help="The portal's number or confirmation.")
@click.option("--words", default="", help="The portal's words, or yours.")
@click.pass_obj
@by_whom
def answer(folder: Path, task: int, reference: str | None, words: str, by: str, **said: bool) -> None:
    """Answer TASK."""
    true = [say for say in Say if said[say.replace("-", "_")]]
    if len(true) != 1:
        raise click.UsageError(f"say one thing that is true: {', '.join(f'--{say}' for say in Say)}")
    with opened(folder) as ws:
        tasks.answer(ws, task, Spoken(true[0], by, reference, words))
        click.echo(f"task {task}: {true[0]}")


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that tell documents with one number apart; they arrive as `customer`, `entity` and `kind`."""
    for option in (
        click.option("--kind", type=click.Choice(recording.KINDS), help="Which kind of document is meant."),
        click.option("--entity", help="Which of our companies sold it."),
        click.option("--customer", help="Whose invoice is meant, where the number is not enough."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("number", required=False)
@click.argument("stage", required=False, type=click.Choice(recording.STAGES))
@_which
@click.option("--reason", default="", help="Why, in the buyer's words.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day it happened, if it is known.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Many at once, from a CSV.")
@click.pass_obj
@by_whom
def record(
    folder: Path,
    number: str | None,
    stage: str | None,
    reason: str,
    day: dt.datetime | None,
    file: Path | None,
    by: str,
    **which: str | None,
) -> None:
    """Type in what became of an invoice: NUMBER STAGE, or --csv FILE (number,stage,customer,entity,kind,reason,on)."""
    typed = [number, stage, reason, day, *which.values()]
    if file is not None and any(typed):
        raise click.UsageError("with --csv FILE, everything else stands in the file")
    if file is None and (number is None or stage is None):
        raise click.UsageError("name a NUMBER and a STAGE, or --csv FILE")
    with opened(folder) as ws:
        if file is not None:
            new, known = recording.record_csv(ws, file, by=by)
            click.echo(f"{new} recorded, {known} known already")
        elif number is not None and stage is not None:
            said = Said(Which(number, **which), Stage(stage), reason, day.date() if day else None)
            stands = recording.record(ws, said, by=by)
            elsewhere = "" if stands == said.stage else f" was noted, but it stands as {stands or 'nothing known'}"
            click.echo(f"{number}: {stage}{elsewhere}")


@click.command()
@click.argument("number")
@_which
@click.option("--why", required=True)
@click.pass_obj
@by_whom
def withdraw(folder: Path, number: str, why: str, by: str, **which: str | None) -> None:
    """Take back an invoice that was not delivered."""
    with opened(folder) as ws:
        admit.withdraw(ws, recording.current(ws, Which(number, **which)), by=by, why=why)
        click.echo(f"{number}: withdrawn")


@click.command()
@click.argument("number")
@_which
@click.option("--why", required=True)
@click.pass_obj
@by_whom
def again(folder: Path, number: str, why: str, by: str, **which: str | None) -> None:
    """Send a refused or withdrawn invoice once more as it is, after its cause is mended elsewhere."""
    with opened(folder) as ws:
        admit.send_again(ws, recording.current(ws, Which(number, **which)), by=by, why=why)
        click.echo(f"{number}: goes once more")
