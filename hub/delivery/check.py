"""The check before anything is sent: route, rules, mapping and the exact document, all findings at once.

What passes is *ready*: its steps are stored and frozen. What does not is *held*, and checked again whenever rules,
mappings, configuration, the date or the invoice it depends on have changed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.config import Account
from hub.contract.connector import Capabilities, Connector, MappedInvoice, Prior, Refs, Stamp, Step
from hub.contract.errors import Unpreparable
from hub.contract.invoice import Invoice, number_key
from hub.contract.status import Submission
from hub.contract.totals import doubtful_lines
from hub.delivery import asking, attempts, ledger
from hub.delivery.lifecycle import Happening
from hub.delivery.related import DELIVERED, WAITS, Dependency, depends, prior, related, state_of
from hub.delivery.workspace import Requirements, Workspace
from hub.requirements.customers import Route, route
from hub.requirements.finding import Finding, Severity
from hub.schedule import send_by
from hub.store import tables as t
from hub.yamlsource import SourceError

S = Submission


@dataclass(frozen=True)
class _Prepared:
    """What goes out, ready to be stored."""

    mapped: MappedInvoice
    stamp: Stamp
    steps: list[tuple[str, Step]]  # each with the hash of its stored bytes


@dataclass
class _Result:
    """What a check came to."""

    findings: list[Finding] = field(default_factory=list)
    route: Route | None = None
    version: str = ""
    connector_version: str | None = None
    requirements: Requirements | None = None
    prepared: _Prepared | None = None
    depends: Dependency = field(default_factory=Dependency)
    waived: frozenset[str] = frozenset()  # the rules that a person waived for this one

    @property
    def blocked(self) -> bool:
        return any(finding.severity is Severity.BLOCK and finding.rule not in self.waived for finding in self.findings)


def check(ws: Workspace, submission_id: int) -> Submission:
    """Check a submission that was never attempted; the state it is in now."""
    with ws.db.reading() as tx:
        row = _load(tx, submission_id)
        if not _may_check(row):
            return S(row.state)
        invoice = Invoice.model_validate_json(row.invoice)
        result = _routed(ws, invoice)
        result.waived = frozenset(json.loads(row.waived or "[]"))
        # A document whose parties were unknown when it came has its real identity by its route.
        parties = (result.route.entity, result.route.customer) if result.route else (row.entity, row.customer)
        result.depends = depends(tx, parties, invoice)
        others = related(tx, parties, invoice)
        before = prior(tx, row.replaces_id)
    result.findings += result.depends.findings
    _examine(ws, row, invoice, others, before, result)
    result.findings = [replace(f, severity=Severity.WARN) if f.rule in result.waived else f for f in result.findings]
    if WAITS in result.waived:
        result.depends = replace(result.depends, gone="")
    return _conclude(ws, row, result)


def _routed(ws: Workspace, invoice: Invoice) -> _Result:
    where = route(ws.directory, invoice)
    if isinstance(where, Route):
        return _Result(route=where, version=_version(ws, where.account))
    return _Result(findings=list(where), version=_version(ws, None))


def due(ws: Workspace) -> list[int]:
    """Submissions to check now: new ones, and those whose rules, facts, date or original are not as when checked."""
    s = t.submission.c
    query = sa.select(t.submission).where(s.state.in_((S.DRAFT, S.HELD, S.READY)), s.first_attempt_at.is_(None))
    with ws.db.reading() as tx:
        return [row.id for row in tx.execute(query.order_by(s.id)).all() if _is_due(ws, tx, row)]


def _is_due(ws: Workspace, tx: Connection, row: Row[Any]) -> bool:
    checked: str | None = row.requirements_version
    if row.state == S.DRAFT or checked is None:
        return True
    now = _version(ws, row.account)
    if checked.partition("@")[0] != now.partition("@")[0]:
        return True
    if row.state == S.HELD and checked != now:
        return True
    if row.depends_on_id is None:
        return False
    goes = state_of(tx, row.depends_on_id) in DELIVERED
    return goes and _waits(tx, row) if row.state == S.HELD else not goes and row.waived is None


def _waits(tx: Connection, row: Row[Any]) -> bool:
    """Whether its last check held it for the sake of its original."""
    f = t.finding.c
    query = sa.select(f.id).where(
        f.submission_id == row.id, f.check_no == row.check_no, f.rule == WAITS, f.severity == Severity.BLOCK
    )
    return tx.execute(query).first() is not None


def _version(ws: Workspace, account: str | None) -> str:
    """What a check rests on, and the day it was made: rules of dates may pass tomorrow what they hold today."""
    if account is None or account not in ws.config.accounts:
        return f"{ws.config.version}@{ws.now().date()}"
    today = _today(ws, ws.account(account))
    try:
        return f"{ws.requirements(account).version}@{today}"
    except SourceError as error:
        return f"broken {hashlib.sha256(str(error).encode()).hexdigest()[:16]}@{today}"


def _today(ws: Workspace, account: Account) -> dt.date:
    """The date where the account is."""
    return ws.now().astimezone(account.time_zone).date()


def _load(tx: Connection, submission_id: int) -> Row[Any]:
    query = (
        sa.select(
            t.submission,
            t.document.c.entity,
            t.document.c.customer,
            t.document.c.kind,
            t.document.c.number,
            t.revision.c.invoice,
            t.revision.c.issue_date,
            t.revision.c.replaces_id,
        )
        .join(t.document, t.submission.c.document_id == t.document.c.id)
        .join(t.revision, t.submission.c.revision_id == t.revision.c.id)
        .where(t.submission.c.id == submission_id)
    )
    return tx.execute(query).one()


def _may_check(row: Row[Any]) -> bool:
    return row.state in {S.DRAFT, S.HELD, S.READY} and row.first_attempt_at is None


def _examine(
    ws: Workspace,
    row: Row[Any],
    invoice: Invoice,
    others: dict[str, Refs],
    before: Prior | None,
    result: _Result,
) -> None:
    """Rules, mapping and document; each adds its findings, and the next still runs where it can."""
    if result.route is None:
        return
    account = ws.account(result.route.account)
    try:
        requirements = result.requirements = ws.requirements(account.key)
    except SourceError as error:
        result.findings += [
            Finding(
                "rules",
                Severity.BLOCK,
                f"the rules cannot be read: {problem.message}",
                place=str(problem.place),
                fix="mend the file; the invoice is checked again by itself",
            )
            for problem in error.problems
        ]
        return
    result.findings += requirements.rules.check(invoice, _today(ws, account), requirements.facts)
    fields, missing = requirements.mapping.apply(invoice, requirements.facts)
    result.findings += missing
    result.findings += _doubts(invoice)
    connector = ws.portal(account.connection).for_reading()
    result.connector_version = connector.version
    result.findings += _beyond(connector.capabilities, invoice)
    if result.blocked:
        return
    mapped = MappedInvoice(invoice, fields.fields, fields.lines, others)
    stamp = ledger.stamp_from_json(row.stamp) if row.stamp else _stamp(ws.now())
    _prepare(ws, connector, mapped, stamp, before, result)


def _doubts(invoice: Invoice) -> Iterator[Finding]:
    """EN 16931 does not tie a line's net to its price and quantity, but buyers do; so it is said, and goes on."""
    for doubt in doubtful_lines(invoice):
        yield Finding("arithmetic", Severity.WARN, doubt.message, field=doubt.field, value=f"{doubt.stated:f}")


def _beyond(capabilities: Capabilities, invoice: Invoice) -> Iterator[Finding]:
    """What this portal's connector cannot do for this invoice."""
    if invoice.kind not in capabilities.documents:
        yield Finding(
            "document",
            Severity.BLOCK,
            f"this portal's connector sends no {invoice.kind}",
            field="type_code",
            value=invoice.type_code,
            fix="send it by another road, and withdraw it here",
        )
    files = [attachment.name for attachment in invoice.attachments if attachment.sha256 is not None]
    if files and not capabilities.attachments:
        yield Finding(
            "document",
            Severity.WARN,
            f"this portal takes no attachments; it goes without {', '.join(files)}",
            field="attachments",
            fix="send them by another road where the customer wants them",
        )


def _stamp(at: dt.datetime) -> Stamp:
    token = secrets.token_hex(8)
    return Stamp(
        payload_id=f"{at:%Y%m%d%H%M%S%f}.{token}@{socket.gethostname()}",
        at=at.replace(microsecond=0),
        boundary=f"part-{token}",
        marker=f"marker-{secrets.token_hex(16)}",
    )


def _prepare(
    ws: Workspace, connector: Connector, mapped: MappedInvoice, stamp: Stamp, before: Prior | None, result: _Result
) -> None:
    """The exact steps, durable; or findings that say why there are none."""
    try:
        steps = connector.prepare(mapped, stamp, before)
    except Unpreparable as error:
        result.findings += [
            Finding("document", Severity.BLOCK, problem, fix="correct the invoice or its mapping")
            for problem in error.problems
        ]
        return
    for step in steps:
        if ws.archive.scrub.finds(step.bytes):
            result.findings.append(
                Finding(
                    "document",
                    Severity.BLOCK,
                    f"step {step.name} would store a secret in the archive",
                    fix="take the secret out of the invoice or its mapping",
                )
            )
            return
    result.prepared = _Prepared(mapped, stamp, [(ws.blobs.put(step.bytes), step) for step in steps])


def _conclude(ws: Workspace, row: Row[Any], result: _Result) -> Submission:
    """Write down what the check came to, unless the submission has moved on meanwhile."""
    at = ws.now()
    account: Account | None = ws.config.accounts.get(result.route.account) if result.route else None
    with ws.db.writing("check.conclude") as tx:
        # The document before its submission, as whoever brings another revision does.
        tx.execute(sa.select(t.document.c.id).where(t.document.c.id == row.document_id).with_for_update())
        now = ledger.lock(tx, row.id)
        if not _may_check(now) or now.check_no != row.check_no:
            return S(now.state)
        if result.route is not None:
            result.findings += _settle_identity(tx, row, result.route)
        check_no = _keep_findings(tx, now, result.findings, at)
        tx.execute(
            t.submission.update()
            .where(t.submission.c.id == row.id)
            .values(
                account=result.route.account if result.route else None,
                connection=account.connection if account else None,
                portal_customer=account.portal_customer if account else None,
                requirements_version=result.version,
                rules_version=result.requirements.rules.version if result.requirements else None,
                mapping_version=result.requirements.mapping.version if result.requirements else None,
                connector_version=result.connector_version,
                depends_on_id=result.depends.document_id,
                send_by=send_by(row.issue_date, account.send_within, account.cut_off) if account else None,
                check_no=check_no,
            )
        )
        if result.blocked or result.prepared is None:
            return _hold(tx, now, result, at)
        return _make_ready(tx, now, result.prepared, at)


def _settle_identity(tx: Connection, row: Row[Any], where: Route) -> list[Finding]:
    """A document whose parties were unknown gets its identity now that hub.yaml knows them, unless that is taken."""
    if (row.entity, row.customer) == (where.entity, where.customer):
        return []
    identity = {"entity": where.entity, "customer": where.customer}
    same = {**identity, "kind": row.kind, "number_key": number_key(row.number)}
    taken = sa.select(t.document.c.id).where(*(t.document.c[name] == value for name, value in same.items()))
    if tx.execute(taken).first() is not None:
        return [
            Finding(
                "identity",
                Severity.BLOCK,
                f"{row.kind} {row.number} of {where.customer} is here already; its customer was unknown when this came",
                fix="withdraw this one",
                field="number",
                value=row.number,
            )
        ]
    tx.execute(t.document.update().where(t.document.c.id == row.document_id).values(**identity))
    return []


def _keep_findings(tx: Connection, now: Row[Any], findings: list[Finding], at: dt.datetime) -> int:
    """Store this check's findings unless they are the last check's; the number of the check that stands."""
    columns = ("rule", "severity", "message", "fix", "field", "value", "place")
    f = t.finding.c
    before = tx.execute(
        sa.select(*(f[name] for name in columns))
        .where(f.submission_id == now.id, f.check_no == now.check_no)
        .order_by(f.id)
    ).all()
    current = [tuple(str(getattr(finding, name)) for name in columns) for finding in findings]
    if now.check_no and [tuple(row) for row in before] == current:
        return int(now.check_no)
    check_no = int(now.check_no) + 1
    for values in current:
        tx.execute(
            t.finding.insert().values(
                submission_id=now.id, check_no=check_no, found_at=at, **dict(zip(columns, values, strict=True))
            )
        )
    return check_no


def _hold(tx: Connection, now: Row[Any], result: _Result, at: dt.datetime) -> Submission:
    state = S(now.state)
    why = "; ".join(f.message for f in result.findings if f.severity is Severity.BLOCK)
    if state is not S.HELD:
        state = ledger.move(tx, now.id, Happening.HELD, at=at, why=why)
    if result.depends.gone:
        row = ledger.lock(tx, now.id)
        task = asking.open_task(
            tx,
            asking.TaskKind.DECIDE,
            at=at,
            submission=row,
            title=f"Shall this still go? {result.depends.gone}",
            action="Withdraw it, or answer that it may go once it is clear which invoice it belongs to.",
        )
        state = ledger.move(tx, now.id, Happening.STUCK, at=at, why=result.depends.gone, evidence=f"task:{task}")
    return state


def _make_ready(tx: Connection, now: Row[Any], prepared: _Prepared, at: dt.datetime) -> Submission:
    mapped, stamp = prepared.mapped, prepared.stamp
    attempts.store_steps(tx, now.id, prepared.steps)
    frozen = {
        "stamp": ledger.stamp_to_json(stamp),
        "payload_id": stamp.payload_id,
        "mapped": json.dumps({"fields": dict(mapped.fields), "lines": [dict(line) for line in mapped.lines]}),
    }
    tx.execute(t.submission.update().where(t.submission.c.id == now.id).values(**frozen))
    if now.state == S.READY:
        return S.READY
    return ledger.move(tx, now.id, Happening.CLEARED, at=at, why="passed every rule; its document is prepared")
