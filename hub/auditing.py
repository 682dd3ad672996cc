"""`hub reconcile`: compare what the ledger knows with what the portals have, now. It asks and never sends."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import sqlalchemy as sa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.contract.errors import Transient
from hub.contract.invoice import number_key
from hub.delivery import audit, collect
from hub.delivery.audit import Looked, Outcome
from hub.delivery.workspace import Workspace
from hub.engine.work import Progress
from hub.shell import opened, progress
from hub.store import tables as t
from hub.view import UnmatchedDocument, unmatched
from hub.view.wording import clean, moment
from hub.yamlsource import did_you_mean

_ENOUGH = 3  # invoices in a row of which a portal could not be asked; the rest of its invoices is left then
_FEW = 10  # keys that a line can name
_MANY = 1000  # documents that nobody knows
_WORDS: Mapping[Outcome, str] = {  # in the order in which they are told
    Outcome.MISSING: "missing there",
    Outcome.UNKNOWN: "unknown here",
    Outcome.DIFFERS: "differs",
    Outcome.ADOPTED: "adopted",
    Outcome.COULD_NOT_ASK: "could not ask",
    Outcome.NO_LOOKUP: "no lookup",
    Outcome.AGREES: "agrees",
}
_FINE = (Outcome.AGREES, Outcome.ADOPTED, Outcome.NO_LOOKUP)


@dataclass(frozen=True)
class Meant:
    """What is to be compared: submissions with their connections, and the connections that are asked as a whole."""

    submissions: Sequence[tuple[int, str]]
    connections: Sequence[str] = field(default=())


@click.command()
@click.argument("which", required=False, metavar="[INVOICE|ACCOUNT|CONNECTION]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: every look, and the documents unknown here.")
@click.pass_obj
def reconcile(folder: Path, which: str | None, *, as_json: bool) -> None:
    """Ask the portals what they have, and say what is not as we know it. Sends nothing; a hub may run beside it.

    Without a word: every invoice that is open or refused. What is surely ours and was not known to be there is adopted;
    what is missing there, stands there twice or otherwise becomes a task. Of a whole connection the statuses are
    collected too, which shows documents that are unknown here. Where an invoice, an account and a connection are called
    alike, write invoice:NAME, account:NAME or connection:NAME.

    Exit status 0: all agrees, or cannot be looked up. 1: something differs, is unknown here, or could not be asked.
    """
    with opened(folder) as ws:
        meant = resolve(ws, which)
        failed: dict[str, str] = {}  # connections whose statuses could not be collected
        with progress() as shown:
            looked = list(_compare(ws, meant, shown, failed))
        unknown = [one for key in meant.connections for one in unmatched(ws.db, _MANY, key)]
        if as_json:
            told = {"looked": [asdict(one) for one in looked], "unknown_here": [asdict(one) for one in unknown]}
            click.echo(json.dumps(told | {"statuses_not_collected": failed}, indent=1, default=str))
        else:
            _print(Console(), looked, unknown, failed)
    sys.exit(bool(unknown or failed) or any(one.outcome not in _FINE for one in looked))


def resolve(ws: Workspace, which: str | None) -> Meant:
    """What is meant; raises LookupError for a word that means nothing, or several things."""
    config = ws.config
    if which is None:
        return Meant(_open(ws), list(config.connections))
    kinds: dict[str, Callable[[Workspace, str], Meant | None]]
    kinds = {"invoice": _invoice, "account": _account, "connection": _connection}
    kind, _, name = which.partition(":")
    asked = {kind: name} if kind in kinds and name else dict.fromkeys(kinds, which)
    found = {kind: meant for kind, word in asked.items() if (meant := kinds[kind](ws, word)) is not None}
    if len(found) > 1:
        told = " or ".join(f"{kind}:{which}" for kind in found)
        raise LookupError(f"{which!r} names more than one thing; say {told}")
    if not found:
        near = did_you_mean(name or which, (*config.connections, *config.accounts))
        raise LookupError(
            f"{which!r} is no invoice, account or connection{near}; `hub status` lists the invoices. "
            f"Connections: {_listed(config.connections)}. Accounts: {_listed(config.accounts)}"
        )
    return next(iter(found.values()))


def _listed(keys: Mapping[str, object]) -> str:
    return ", ".join([*list(keys)[:_FEW], *(["…"] if len(keys) > _FEW else [])]) or "none"


def _invoice(ws: Workspace, number: str) -> Meant | None:
    """Every revision of every document with this number, ours or the one that portals show."""
    s, d, r = t.submission.c, t.document.c, t.revision.c
    shown = sa.select(r.document_id).where(r.shown_number == number.strip())
    numbered = sa.or_(d.number_key == number_key(number), d.id.in_(shown))
    query = sa.select(s.id, s.connection).join(t.document, s.document_id == d.id).where(numbered).order_by(s.id)
    with ws.db.reading() as tx:
        rows = [(row.id, row.connection or "") for row in tx.execute(query)]
    return Meant(rows) if rows else None


def _account(ws: Workspace, key: str) -> Meant | None:
    return Meant(_open(ws, t.submission.c.account == key)) if key in ws.config.accounts else None


def _connection(ws: Workspace, key: str) -> Meant | None:
    known = key in ws.config.connections
    return Meant(_open(ws, t.submission.c.connection == key), [key]) if known else None


def _open(ws: Workspace, *where: sa.ColumnElement[bool]) -> list[tuple[int, str]]:
    s = t.submission.c
    ids = audit.open_rows(ws, *where)
    with ws.db.reading() as tx:
        at = {row.id: row.connection for row in tx.execute(sa.select(s.id, s.connection))}
    return [(one, at[one]) for one in ids]


def _compare(ws: Workspace, meant: Meant, shown: Progress, failed: dict[str, str]) -> Iterator[Looked]:
    """One look at each. A connection that is paused, or did not answer a few times, is not asked any more."""
    paused = _paused(ws)
    for key in meant.connections:
        if key not in paused:
            _collect(ws, key, failed)
    unanswered: Counter[str] = Counter()
    rows = meant.submissions
    for index in shown("asking the portals", range(len(rows)), len(rows)):
        submission_id, key = rows[index]
        if key in paused:
            looked = audit.not_asked(ws, submission_id, f"{key} is paused: {paused[key]}; `hub check {key}` resumes it")
        elif unanswered[key] >= _ENOUGH:
            looked = audit.not_asked(ws, submission_id, f"the portal did not answer the last {_ENOUGH} times")
        else:
            looked = audit.look(ws, submission_id)
            did_not_answer = looked.words.startswith(audit.UNANSWERED)
            unanswered[key] = unanswered[key] + 1 if did_not_answer else 0
            paused |= _paused(ws) if did_not_answer else {}
        yield looked


def _paused(ws: Workspace) -> dict[str, str]:
    c = t.connection.c
    with ws.db.reading() as tx:
        rows = tx.execute(sa.select(c.key, c.paused_why).where(c.paused_at.is_not(None)))
        return {row.key: row.paused_why or "" for row in rows}


def _collect(ws: Workspace, key: str, failed: dict[str, str]) -> None:
    """Read a connection's statuses, for what is unknown here."""
    portal = ws.portal(key)
    if not portal.for_reading().capabilities.statuses:
        return
    c = t.connection.c
    try:
        with portal.slot():
            collect.collect(ws, key)
    except Transient as error:
        failed[key] = str(error)
        return
    with ws.db.reading() as tx:
        told = tx.execute(sa.select(c.poll_error).where(c.key == key)).scalar_one()
    if told is not None:
        failed[key] = told


_HEADINGS = ("What", "Invoice", "Connection", "Told")


def _print(
    console: Console, looked: Sequence[Looked], unknown: Sequence[UnmatchedDocument], failed: Mapping[str, str]
) -> None:
    """What is not as we know it, and how much is. On a terminal a table; else lines separated by tabs."""
    told = sorted(
        ((each, one) for each in _WORDS for one in looked if one.outcome is each is not Outcome.AGREES),
        key=lambda pair: (list(_WORDS).index(pair[0]), pair[1].connection),
    )
    rows = [(_WORDS[outcome], clean(one.number), clean(one.connection), clean(one.words)) for outcome, one in told]
    rows += [(_WORDS[Outcome.COULD_NOT_ASK], "statuses", clean(key), clean(words)) for key, words in failed.items()]
    rows += [(_WORDS[Outcome.UNKNOWN], *_unknown(one)) for one in unknown]
    count = Counter(one.outcome for one in looked)
    total = ", ".join(f"{_WORDS[outcome]}: {count[outcome]}" for outcome in _WORDS if count[outcome])
    total = f"{len(looked)} looked for" + (f" ({total})" if total else "")
    if not console.is_terminal:
        for row in (_HEADINGS, *rows) if rows else ():
            click.echo("\t".join(row))
        click.echo(total)
        return
    if rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in _HEADINGS:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    console.print(Text(total))
    if any(one.outcome in audit.DIFFERENCES for one in looked):
        console.print(Text("What a person must decide is a task: `hub tasks`"))


def _unknown(one: UnmatchedDocument) -> tuple[str, str, str]:
    ours = "; an invoice of ours bears this number, but it is not sure that it is meant" if one.ours else ""
    told = f"the portal speaks of it since {moment(one.since)}, last: {clean(one.raw)} ({one.word}){ours}"
    return clean(one.number or one.portal_id or "not told"), clean(one.connection), told
