"""The story of one document: moves, attempts, the portal's words, findings, tasks and answers, merged in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.status import Delivered
from hub.delivery.ledger import HUB, reasons_from_json
from hub.requirements.finding import Severity
from hub.store import tables as t
from hub.view.wording import STAGES, SUBMISSIONS, moment


class What(StrEnum):
    """What kind of thing happened."""

    MOVE = "move"  # our submission's state, or the buyer's stage
    ATTEMPT = "attempt"
    WORD = "word"  # of the portal
    FINDING = "finding"
    TASK = "task"
    ANSWER = "answer"


@dataclass(frozen=True)
class Moment:
    """One thing that happened: when, who, what, why, and what it rests on."""

    at: dt.datetime
    what: What
    who: str  # hub, portal:CONNECTION, person:NAME
    told: str  # in one line
    why: str = ""
    evidence: str = ""  # attempt:ID, event:ID, task:ID …
    revision: int = 1
    sha256: str | None = None  # of the document that proves it
    key: str = ""  # what other moments call this one, as in attempt:ID


DELIVERED: Mapping[Delivered | None, str] = {
    Delivered.NO: "the portal does not have it",
    Delivered.UNKNOWN: "it may have arrived",
    Delivered.YES: "delivered",
    None: "no end was written, so it may have arrived",
}
# At the same moment a thing stands before the move that it led to.
_ORDER = (What.WORD, What.ATTEMPT, What.FINDING, What.TASK, What.ANSWER, What.MOVE)
_SHA256_LENGTH = 64


def timeline(tx: Connection, seqs: Mapping[int, int]) -> tuple[Moment, ...]:
    """Everything that happened to these submissions (id → number of their revision), the oldest first."""
    moments = [
        *(_moved(row, seqs[row.submission_id]) for row in _rows(tx, t.transition, seqs)),
        *(_tried(row, seqs[row.submission_id]) for row in _rows(tx, _ATTEMPTS, seqs)),
        *(_said(row, seqs[row.submission_id]) for row in _rows(tx, t.event, seqs)),
        *(_found(row, seqs[row.submission_id]) for row in _rows(tx, t.finding, seqs)),
        *(_asked(row, seqs[row.submission_id]) for row in _rows(tx, t.task, seqs)),
        *(_answered(row, seqs[row.submission_id]) for row in _rows(tx, t.task, seqs) if row.answered_at),
    ]
    return tuple(sorted(moments, key=_when))


def _when(happened: Moment) -> tuple[dt.datetime, bool, int]:
    return happened.at, happened.evidence != _READ, _ORDER.index(happened.what)


_READ = "source"  # the evidence of the very first move
_ATTEMPTS = (
    sa.select(t.attempt, t.step.c.name.label("step")).join(t.step, t.attempt.c.step_id == t.step.c.id).subquery()
)


def _rows(tx: Connection, source: sa.FromClause, submission_ids: Iterable[int]) -> Sequence[Row[Any]]:
    query = sa.select(source).where(source.c.submission_id.in_(submission_ids)).order_by(source.c.id)
    return tx.execute(query).all()


def _moved(row: Row[Any], revision: int) -> Moment:
    evidence = row.evidence or ""
    kind, _, value = evidence.partition(":")
    return Moment(
        at=row.at,
        what=What.MOVE,
        who=row.actor,
        told=_change(row.subject, row.before, row.after),
        why=row.why,
        evidence=kind if len(value) == _SHA256_LENGTH else evidence,
        revision=revision,
        sha256=value if len(value) == _SHA256_LENGTH else None,
    )


_WORDS: Mapping[str, Mapping[Any, str]] = {"submission": SUBMISSIONS, "stage": STAGES}


def _change(subject: str, before: str | None, after: str | None) -> str:
    """What a transition changed, in plain English; a word this version does not know stays as it is."""
    words = _WORDS.get(subject, {})
    told = [words.get(word, word) for word in (before, after) if word]
    labels = {"submission": "Our submission", "stage": "The buyer's stage", "lookup": "A look at the portal"}
    label = labels.get(subject, subject)
    return f"{label}: {' → '.join(told)}" if told else f"{label}: noted"


def _tried(row: Row[Any], revision: int) -> Moment:
    told = f"Attempt {row.number}, {row.step}: {DELIVERED[Delivered(row.delivered) if row.delivered else None]}"
    began = f"began {moment(row.started_at)}"
    reasons = [reason.text for reason in reasons_from_json(row.reasons) if reason.text not in (row.words or "")]
    late = ["it ended after another worker had taken over, and moved nothing"] if row.late else []
    return Moment(
        at=row.finished_at or row.started_at,
        what=What.ATTEMPT,
        who=HUB,
        told=f"{told} ({row.outcome})" if row.outcome else told,
        why="; ".join(part for part in (row.words, *reasons, *late, began) if part),
        revision=revision,
        sha256=row.reply_sha256,
        key=f"attempt:{row.id}",
    )


def _said(row: Row[Any], revision: int) -> Moment:
    about = "taking it in" if row.concerns == "intake" else "the buyer's stage"
    reasons = [
        f"{reason.text} ({reason.portal_code})" if reason.portal_code else reason.text
        for reason in reasons_from_json(row.reasons)
    ]
    happened = [f"happened {moment(row.happened_at)}"] if row.happened_at else []
    effect = [row.note] if row.note else []
    return Moment(
        at=row.observed_at,
        what=What.WORD,
        who=f"portal:{row.connection}",
        told=f"The portal said “{row.raw}”: read as {row.word}, of {about}"
        + ("" if row.applied else "; moved nothing"),
        why="; ".join((*reasons, *effect, *happened)),
        revision=revision,
        sha256=row.document_sha256,
        key=f"event:{row.id}",
    )


def _found(row: Row[Any], revision: int) -> Moment:
    effect = "blocks" if row.severity == Severity.BLOCK else "warns"
    return Moment(
        at=row.found_at,
        what=What.FINDING,
        who=HUB,
        told=f"Check {row.check_no} {effect}: {row.message}",
        why=row.fix,
        evidence=row.place or row.rule,
        revision=revision,
    )


def _asked(row: Row[Any], revision: int) -> Moment:
    return Moment(
        at=row.created_at,
        what=What.TASK,
        who=HUB,
        told=f"A person is asked: {row.title}",
        why=row.action,
        revision=revision,
        key=f"task:{row.id}",
    )


def _answered(row: Row[Any], revision: int) -> Moment:
    return Moment(
        at=row.answered_at,
        what=What.ANSWER,
        who=f"person:{row.answered_by}",
        told=f"Answered: {row.answer}",
        why=row.title,
        evidence=f"task:{row.id}",
        revision=revision,
    )
