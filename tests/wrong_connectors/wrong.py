"""Three connectors as they are often written: each passes a glance and fails the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from connectors.ariba.connector import AribaConnector
from hub.contract.connector import Found, InvoiceKey, OpenRef, Page, Receipt, Refs, StatusEvent, Step
from hub.contract.errors import PortalError, Transient
from hub.contract.status import Concerns, Intake, Stage

TRIES = 3


class RetryOnError(AribaConnector):
    """Sends again what failed, for surely it did not arrive."""

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        for _ in range(TRIES - 1):
            try:
                return super().submit(step, done)
            except Transient:
                continue
        return super().submit(step, done)


class OptimisticStatus(AribaConnector):
    """Takes what it does not know for the best, and a yes to the transmission for acceptance."""

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        return replace(super().submit(step, done), intake=Intake.ACCEPTED)

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:
        for page in super().statuses(cursor, open_refs):
            yield replace(page, events=tuple(map(_at_its_best, page.events)))


def _at_its_best(event: StatusEvent) -> StatusEvent:
    if event.concerns is Concerns.INTAKE and event.word == Intake.PENDING:
        return replace(event, word=Intake.ACCEPTED)
    return replace(event, word=Stage.APPROVED) if event.word == Stage.UNKNOWN else event


class NoneOnError(AribaConnector):
    """Never raises: where it could not ask there is nothing, and where nothing was answered all went well."""

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        try:
            return super().submit(step, done)
        except PortalError as error:
            return Receipt(Refs(payload_id=step.key), Intake.PENDING, error.reply)

    def find(self, key: InvoiceKey) -> list[Found]:
        try:
            return super().find(key)
        except PortalError:
            return []
