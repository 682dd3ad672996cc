"""Everything at once: workers that send, look, listen, correct and answer, through two workspaces, for a while."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from delivery_house import ON_BOTH, House, Lane, event, invoice, open_tasks, receive, rows, work
from portal_in_memory import PORTALS, Portal, raises

from hub.contract.connector import Page, Repeat
from hub.contract.errors import Duplicate, NeedsHuman, Reason, Rejected, Transient
from hub.contract.status import Concerns, Delivered
from hub.delivery import check, collect, deliver, reconcile, tasks
from hub.delivery.admit import ConflictError
from hub.delivery.evidence import verify
from hub.delivery.tasks import AnswerError, Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

NUMBERS = [f"A-{number}" for number in range(6)]
LANES = [Lane(f"lane{number}", {"repeat": "safe", "settles": 0}) for number in range(2)]
WORDS = {
    Concerns.INTAKE: ("accepted", "refused", "duplicate", "pending"),
    Concerns.STAGE: ("received", "approved", "paid", "rejected", "wibbled"),
}
ENDS: list[Callable[[], BaseException]] = [
    lambda: Transient("dead", delivered=Delivered.UNKNOWN),
    lambda: Transient("busy", delivered=Delivered.NO),
    lambda: Rejected("no", reasons=(Reason("line 3"),)),
    lambda: Duplicate("twice", reasons=(Reason("twice"),)),
    lambda: NeedsHuman("a captcha", action="solve it"),
    lambda: ValueError("odd"),
]


@dataclass
class Worker:
    """One of those who are at work; each does its own for a while."""

    house: House
    ws: Workspace
    seed: int

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - the same day at every run; it guards nothing

    def send(self) -> None:
        for _ in range(5):
            for submission_id in check.due(self.ws):
                check.check(self.ws, submission_id)
            for lane in LANES:
                for submission_id in deliver.due(self.ws, lane.key):
                    deliver.deliver(self.ws, submission_id)
            self.house.clock.forward(minutes=1)

    def look(self) -> None:
        for _ in range(8):
            for submission_id in reconcile.due(self.ws):
                reconcile.reconcile(self.ws, submission_id)
            collect.overdue(self.ws)
            reconcile.recover(self.ws, alone=False)

    def listen(self) -> None:
        for number in range(12):
            key = LANES[self.seed % 2].key
            known = [row for row in rows(self.ws, t.submission, t.submission.c.connection == key) if row.payload_id]
            told = [self._word(f"{self.seed}-{number}-{row.id}", row.payload_id) for row in known]
            self.dice.shuffle(told)
            collect.store(self.ws, key, Page(tuple(told[:5]), f"{number}"))

    def _word(self, event_id: str, payload_id: str) -> object:
        concerns = self.dice.choice(list(Concerns))
        word = self.dice.choice(WORDS[concerns])
        return event(event_id, word, at=self.house.clock(), concerns=concerns, payload_id=payload_id)

    def answer(self) -> None:
        for _ in range(10):
            for task in open_tasks(self.ws):
                try:
                    tasks.answer(self.ws, task.id, Spoken(self.dice.choice(list(Say)), "ann", "R-1", "words"))
                except (AnswerError, LookupError):
                    continue

    def correct(self) -> None:
        for number in range(10):
            content = f"{self.seed}-{number}"
            try:
                receive(self.ws, invoice(self.dice.choice(NUMBERS), LANES[number % 2].key, content=content))
            except ConflictError:
                continue


def run_all(jobs: list[Callable[[], object]]) -> list[BaseException]:
    """Each in a thread of its own; what any of them raised."""
    raised: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@ON_BOTH
def test_nobody_fails_and_nothing_is_left_behind_when_all_happens_at_once(house: House) -> None:
    """No two wait for each other for ever, every invoice comes to an end or a question, and the chain verifies."""
    house.write(*LANES)
    ones, others = house.open(), house.open()
    dice = random.Random(20310314)  # noqa: S311 - the same day at every run; it guards nothing
    for lane in LANES:
        PORTALS[lane.key] = Portal(house.clock, Repeat.SAFE)
        acts = [raises(dice.choice(ENDS), arrives=dice.random() < 0.5) for _ in range(40)]
        PORTALS[lane.key].acts.extend(acts)
        for number in NUMBERS:
            receive(ones, invoice(number, lane.key))
    workers = [Worker(house, ws, seed) for seed, ws in enumerate([ones, others] * 5)]
    does = (Worker.send, Worker.look, Worker.listen, Worker.answer, Worker.correct)
    # Each thing is done by two, one through either workspace.
    jobs = [lambda worker=worker, do=does[worker.seed // 2]: do(worker) for worker in workers]
    assert [] == run_all(jobs)

    for portal in PORTALS.values():
        portal.acts.clear()
    house.clock.now += dt.timedelta(hours=1)
    reconcile.recover(ones, alone=False)
    work(ones, house.clock)
    submissions = rows(ones, t.submission)
    assert len(submissions) > len(LANES) * len(NUMBERS)
    assert [] == [row.id for row in submissions if row.state in ("sending", "in_doubt", "draft", "ready")]
    assert [] == [row.id for row in submissions if row.state == "needs_human" and not open_tasks(ones, row.id)]
    assert [] == [told.id for told in rows(ones, t.event) if not told.applied and told.submission_id is None]
    with ones.db.reading() as tx:
        assert verify(tx, ones.blobs)[1] == ()
