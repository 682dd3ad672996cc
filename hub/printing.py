"""What `hub status`, `hub explain` and `hub tasks` print. Untrusted words are cleaned and never read as markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hub.contract.invoice import Kind
from hub.contract.status import Submission
from hub.requirements.finding import Severity
from hub.view import Explanation, InvoiceRow, Names, OpenTask, Outcome, Page, Summary
from hub.view.timeline import DELIVERED, Moment, What
from hub.view.wording import (
    MARKS,
    MOVES,
    OUTCOMES,
    STAGES,
    age,
    clean,
    clean_lines,
    customer_name,
    entity_name,
    heard,
    moment,
    money,
    notices,
    sentence,
    standing,
    standstill,
    submission_words,
    unknown_documents,
    why,
)

_STYLES = {
    Outcome.HELD: "yellow",
    Outcome.FAILED: "cyan",
    Outcome.REFUSED: "red",
    Outcome.DISPUTED: "magenta",
    Outcome.UNKNOWN: "bold",
}
_WIDTHS = {  # 99 columns with the spaces between them
    "Number": 13,
    "Customer": 13,
    "Amount": 15,
    "Our submission": 14,
    "Buyer's stage": 11,
    "Whose move": 12,
    "Since": 6,
    "Portal heard": 8,
}
_CUSTOMER, _OURS, _BUYERS = 1, 3, 4  # the places of the customer and of the two states


def print_status(
    console: Console, page: Page, *, names: Names, now: dt.datetime, summary: Summary | None = None
) -> None:
    """The worklist. On a terminal a table that fits 100 columns; else one line a document, separated by tabs."""
    if not console.is_terminal:
        _lines(console, tuple(_WIDTHS), (_cells(row, names, now) for row in page.rows))
        return
    if summary is not None:
        _print_summary(console, summary, now)
    if not page.rows:
        console.print(Text("No invoice matches."))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, width in _WIDTHS.items():
        table.add_column(heading, justify="right" if heading == "Amount" else "left", max_width=width, overflow="fold")
    for row in page.rows:
        style = _STYLES[row.outcome] if row.outcome else ""
        cells = _cells(row, names, now)
        texts = [Text(cell, style=style if place == _place(row) else "") for place, cell in enumerate(cells)]
        texts[_CUSTOMER].truncate(2 * _WIDTHS["Customer"], overflow="ellipsis")
        table.add_row(*texts)
    console.print(table)
    for row in page.rows:
        if row.outcome and (reason := why(row)):
            console.print(Text.assemble((f"{MARKS[row.outcome]} {clean(row.number)}", "bold"), f"  {reason}"))
    for told in standing(page.rows, names, now):
        console.print(Text(told, style="bold"))
    if page.next is not None:
        console.print(Text("There are more; narrow the search to see them.", style="dim"))


def _place(row: InvoiceRow) -> int:
    """Which of the two states is in trouble."""
    return _BUYERS if row.submission is Submission.ACCEPTED else _OURS


def _cells(row: InvoiceRow, names: Names, now: dt.datetime) -> tuple[str, ...]:
    number = clean(row.number) if row.kind is Kind.INVOICE else f"{clean(row.number)} ({row.kind})"
    cells = [
        number,
        customer_name(row, names),
        money(row.amount, row.currency),
        submission_words(row),
        STAGES[row.stage],
        MOVES[row.whose_move],
        age(row.since, now),
        heard(row, now),
    ]
    if row.outcome:
        cells[_place(row)] = f"{MARKS[row.outcome]} {cells[_place(row)]}"
    return tuple(cells)


def _print_summary(console: Console, summary: Summary, now: dt.datetime) -> None:
    _print_standstill(console, summary, now)
    for who, tally in summary.moves.items():
        sums = ", ".join(money(*part) for part in tally.money)
        console.print(Text(f"{MOVES[who]:<18}{tally.count:>7}  {sums}"))
    troubles = [f"{MARKS[outcome]} {OUTCOMES[outcome]}: {n}" for outcome, n in summary.outcomes.items() if n]
    if troubles:
        console.print(Text("  ".join(troubles)))
    for lane in summary.connections:
        if lane.poll_error:
            error = (
                f"{clean(lane.key)} could not be asked, last heard {age(lane.heard_at, now)}: {clean(lane.poll_error)}"
            )
            console.print(Text(error, style="red"))
    if summary.open_tasks:
        console.print(Text(f"{summary.open_tasks} open tasks; see them with `hub tasks`"))
    if summary.unmatched:
        console.print(Text(unknown_documents(summary.unmatched)))


def _print_standstill(console: Console, summary: Summary, now: dt.datetime) -> None:
    for told in standstill(summary, now):
        console.print(Text(told, style="bold red"))


_ANSWER = "Answer each with `hub tasks answer NUMBER`."


def print_tasks(
    console: Console, tasks: Sequence[OpenTask], *, names: Names, now: dt.datetime, summary: Summary | None = None
) -> None:
    """What waits for a person, the oldest first, each with what to do line by line."""
    if not console.is_terminal:
        rows = (
            (str(task.id), task.kind, _about(task, names), clean(task.title), age(task.created_at, now))
            for task in tasks
        )
        _lines(console, ("Task", "Kind", "About", "Title", "Age"), rows)
        return
    if summary is not None:
        _print_standstill(console, summary, now)
    if summary is not None and summary.unmatched:
        console.print(Text(unknown_documents(summary.unmatched)))
    console.print(Text(_ANSWER if tasks else "No task waits for a person."))
    for task in tasks:
        console.print(Text.assemble((f"{task.id}  {clean(task.title)}", "bold"), f"  ({age(task.created_at, now)})"))
        about = [_about(task, names)]
        if task.expires_at:
            about.append(f"until {moment(task.expires_at)}")
        _indented(console, "; ".join(about))
        _indented(console, clean_lines(task.action))
        if task.url:
            _indented(console, clean(task.url))


def _about(task: OpenTask, names: Names) -> str:
    if task.number is not None:
        customer = names.customers.get(task.customer or "") or task.customer or ""
        return f"{clean(task.number)}, {clean(customer)}"
    return f"{task.scope} {clean((task.account if task.scope == 'account' else task.connection) or '')}"


def print_explanations(
    console: Console, explanations: Iterable[Explanation], *, names: Names, now: dt.datetime
) -> None:
    """The story of each document: how it stands, what to do, why, what was sent, and what happened."""
    for index, explanation in enumerate(explanations):
        if index:
            console.print()
        _print_explanation(console, explanation, names, now)


def _print_explanation(console: Console, explanation: Explanation, names: Names, now: dt.datetime) -> None:
    row = explanation.row
    who = f"{customer_name(row, names)}, {money(row.amount, row.currency)}"
    console.print(Text.assemble((f"{row.kind.capitalize()} {clean(row.number)}", "bold"), f"  {who}"), soft_wrap=True)
    mark = f"{MARKS[row.outcome]} " if row.outcome else ""
    console.print(
        Text(f"{mark}{sentence(row, now)}", style=_STYLES[row.outcome] if row.outcome else ""), soft_wrap=True
    )
    if reason := why(row):
        console.print(Text(f"Why: {reason}"), soft_wrap=True)
    for told in notices(row, names, now):
        console.print(Text(f"Note: it {told}" if told[0].islower() else told, style="bold"), soft_wrap=True)
    console.print(Text.assemble(("Next: ", "bold"), row.next_action, f"  ({MOVES[row.whose_move]})"), soft_wrap=True)
    _section(console, "Facts", _facts(explanation, names, now))
    _section(console, "Findings", _findings(explanation))
    _section(console, "Open tasks", _waiting(explanation))
    _section(console, "Prepared and sent", _files(explanation))
    _section(console, "Attempts", _attempts(explanation))
    _section(console, "What happened", [line for happened in explanation.timeline for line in _happened(happened)])


def _facts(explanation: Explanation, names: Names, now: dt.datetime) -> list[str]:
    row = explanation.row
    newest = explanation.revisions[-1]
    facts = (
        ("sold by", entity_name(row, names)),
        ("account", clean(row.account or "")),
        ("connection", clean(row.connection or "")),
        ("order", clean(row.order_number or "")),
        ("issued, due", f"{row.issue_date}, {row.due_date or 'not said'}"),
        ("to be paid", money(row.payable, row.currency) if row.payable != row.amount else ""),
        ("shown as", clean(newest.shown_number) if newest.shown_number != row.number else ""),
        ("portal's reference", clean(row.portal_reference or "")),
        ("portal's last word", clean(row.portal_word or "")),
        ("portal heard", heard(row, now) + (f" ({moment(row.as_of)})" if row.as_of else "")),
        ("revision", f"{row.revision}, from {clean(newest.source_name)} ({newest.source})"),
    )
    return [f"{name + ':':<20}{value}" for name, value in facts if value]


def _findings(explanation: Explanation) -> list[str]:
    lines = []
    for finding in explanation.findings:
        effect = "blocks" if finding.severity is Severity.BLOCK else "warns"
        lines.append(f"{effect}  {clean(finding.message)}  [{clean(finding.rule)}]")
        lines += [f"        {part}" for part in (clean(finding.fix), clean(finding.place)) if part]
    return lines


def _waiting(explanation: Explanation) -> list[str]:
    lines = []
    for task in explanation.tasks:
        if not task.answered_at:
            lines += [
                f"{task.id}  {clean(task.title)}",
                *(f"    {line}" for line in clean_lines(task.action).splitlines()),
            ]
            lines += [f"    {clean(task.url)}"] if task.url else []
    return lines


def _files(explanation: Explanation) -> list[str]:
    return [
        f"revision {file.revision}  {clean(file.name)}  {clean(file.media_type)}  {_size(file.size)}  {file.fate}  "
        f"sha256:{file.sha256}"
        for file in explanation.files
    ]


def _size(size: int | None) -> str:
    return "no longer in the archive" if size is None else f"{size:,} bytes"


def _attempts(explanation: Explanation) -> list[str]:
    return [
        f"{attempt.number}  {moment(attempt.started_at)}  {clean(attempt.step)}: {DELIVERED[attempt.delivered]}  "
        f"{clean(attempt.words)}".rstrip()
        for attempt in explanation.attempts
    ]


def _happened(happened: Moment) -> list[str]:
    lines = [f"{moment(happened.at)}  {clean(happened.told)}"]
    by = f"by {clean(happened.who)}"
    rests = [f"evidence {clean(happened.evidence)}"] if happened.evidence else []
    proof = [f"sha256:{happened.sha256}"] if happened.sha256 else []
    why_ = "" if happened.what is What.TASK else clean(happened.why)  # what to do stands under "Open tasks"
    lines.append("    " + "; ".join(part for part in (by, why_, *rests, *proof) if part))
    return lines


def _section(console: Console, heading: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print(Text(f"\n{heading}", style="bold"))
    for line in lines:
        _indented(console, line)


def _indented(console: Console, text: str) -> None:
    """Two columns in; wrapped on a terminal only, so that other programs find whole lines."""
    if console.is_terminal:
        console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
        return
    for line in text.splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)


def _lines(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for row in (headings, *rows):
        console.file.write("\t".join(row) + "\n")  # as it is: rich would turn the tabs into spaces
