from __future__ import annotations

import datetime as dt
from itertools import product

import pytest

from hub.contract.status import Concerns, Intake, Stage, Submission
from hub.delivery.lifecycle import Happening, Hearing, IllegalMoveError, hear, move, stage_after

S = Submission

# architecture.md, "Submission, the whole table", copied word by word.
THE_TABLE = """\
draft → held | ready | sent | superseded | withdrawn
held → ready | sent | needs_human | superseded | withdrawn
ready → held | sending | sent | needs_human | superseded | withdrawn
sending → ready | sent | refused | in_doubt | needs_human
in_doubt → sent | refused | ready | needs_human
needs_human → sent | refused | ready | withdrawn
sent → accepted | refused | in_doubt | needs_human
accepted → refused | needs_human | superseded
refused → needs_human | superseded | withdrawn
"""
ALLOWED = {
    (before, after)
    for line in THE_TABLE.splitlines()
    for before, afters in [line.split(" → ")]
    for after in afters.split(" | ")
}

# What each happening means, in its own words: from where it can come, and where it leads.
MEANS = {
    "held": ("draft ready", "held"),
    "cleared": ("draft held", "ready"),
    "claimed": ("ready", "sending"),
    "returned": ("sending", "ready"),
    "delivered": ("sending", "sent"),
    "doubted": ("sending sent", "in_doubt"),
    "found": ("draft held ready sending in_doubt needs_human", "sent"),
    "absent": ("in_doubt", "ready"),
    "halfway": ("in_doubt", "ready"),
    "refused": ("sending in_doubt needs_human sent accepted", "refused"),
    "accepted": ("sent", "accepted"),
    "stuck": ("held ready sending in_doubt sent accepted refused", "needs_human"),
    "not_there": ("needs_human", "ready"),
    "superseded": ("draft held ready accepted refused", "superseded"),
    "withdrawn": ("draft held ready needs_human refused", "withdrawn"),
}


@pytest.mark.parametrize(("state", "happening"), list(product(Submission, Happening)))
def test_each_happening_in_each_state_does_what_the_table_says(state: Submission, happening: Happening) -> None:
    """A happening leads where its meaning says, never against the table, and is refused everywhere else."""
    before, after = MEANS[happening]
    if state not in before.split():
        with pytest.raises(IllegalMoveError, match=f"{state} cannot be {happening}"):
            move(state, happening)
        return
    assert after == move(state, happening)
    assert (state, after) in ALLOWED


def test_every_move_of_the_table_has_a_happening() -> None:
    """Nothing that the table allows is out of reach."""
    reached = {(before, after) for befores, after in MEANS.values() for before in befores.split()}
    assert reached == ALLOWED
    assert set(MEANS) == set(Happening)


FLAGS = list(product((False, True), repeat=3))
INTAKE_WORDS = [*Intake, "queued at the border", "PAID"]
STAGE_WORDS = [*Stage, "half-baked", "accepted"]
SAID = [(Concerns.INTAKE, word) for word in INTAKE_WORDS] + [(Concerns.STAGE, word) for word in STAGE_WORDS]
IS_NEWS = [
    (concerns, word)
    for concerns, word in SAID
    if (concerns is Concerns.INTAKE and word in ("accepted", "refused", "duplicate"))
    or (concerns is Concerns.STAGE and word in set(Stage) - {Stage.UNKNOWN})
]


def heard(state: str, concerns: Concerns, word: str, *flags: bool) -> Hearing:
    was_sent, may_be_there, may_be_another = flags
    return hear(S(state), concerns, word, was_sent=was_sent, may_be_there=may_be_there, may_be_another=may_be_another)


@pytest.mark.parametrize(("concerns", "word"), [said for said in SAID if said not in IS_NEWS])
def test_a_word_that_is_no_news_moves_nothing_in_any_state(concerns: Concerns, word: str) -> None:
    """Pending, unknown, and every word that is not in our vocabulary leave both machines as they are."""
    for state, flags in product(Submission, FLAGS):
        assert Hearing() == heard(state, concerns, word, *flags)


@pytest.mark.parametrize(("concerns", "word"), IS_NEWS)
def test_whatever_is_heard_can_happen(concerns: Concerns, word: str) -> None:
    """In every state a word leads along the table, or moves nothing; it never raises."""
    for state, flags in product(Submission, FLAGS):
        after, happenings = state, heard(state, concerns, word, *flags).happenings
        for happening in happenings:
            after = move(after, happening)
        assert bool(happenings) == (after != state)


@pytest.mark.parametrize(("concerns", "word"), IS_NEWS)
def test_while_sending_or_in_doubt_every_word_waits_for_the_portal_to_be_asked(concerns: Concerns, word: str) -> None:
    """Nothing is believed before reconciling; the word is kept until then."""
    for state, flags in product(("sending", "in_doubt"), FLAGS):
        assert Hearing(wait=True) == heard(state, concerns, word, *flags)


@pytest.mark.parametrize("state", ["draft", "held"])
def test_what_was_never_ready_hears_nothing(state: str) -> None:
    """A word about something that cannot have been sent moves nothing."""
    for (concerns, word), flags in product(IS_NEWS, FLAGS):
        assert Hearing() == heard(state, concerns, word, *flags)


def test_a_sent_submission_hears_acceptance_refusal_and_duplicates() -> None:
    """Accepted and any stage accept it; refused refuses it; a duplicate, or a refusal of one of two, is doubt."""
    for was_sent, may_be_there in product((False, True), repeat=2):
        one, two = (was_sent, may_be_there, False), (was_sent, may_be_there, True)
        for flags in (one, two):
            assert Hearing((Happening.ACCEPTED,)) == heard("sent", Concerns.INTAKE, "accepted", *flags)
            assert Hearing((Happening.DOUBTED,)) == heard("sent", Concerns.INTAKE, "duplicate", *flags)
            for stage in set(Stage) - {Stage.UNKNOWN}:
                expected = Hearing((Happening.ACCEPTED,), stage=True)
                assert expected == heard("sent", Concerns.STAGE, stage, *flags)
        assert Hearing((Happening.REFUSED,)) == heard("sent", Concerns.INTAKE, "refused", *one)
        assert Hearing((Happening.DOUBTED,)) == heard("sent", Concerns.INTAKE, "refused", *two)


def test_an_accepted_submission_hears_stages_and_a_late_refusal() -> None:
    """Stages move the buyer's machine alone; a refusal refuses, unless it may speak of the second of two."""
    for was_sent, may_be_there in product((False, True), repeat=2):
        one, two = (was_sent, may_be_there, False), (was_sent, may_be_there, True)
        for flags in (one, two):
            assert Hearing() == heard("accepted", Concerns.INTAKE, "accepted", *flags)
            assert Hearing() == heard("accepted", Concerns.INTAKE, "duplicate", *flags)
            for stage in set(Stage) - {Stage.UNKNOWN}:
                assert Hearing(stage=True) == heard("accepted", Concerns.STAGE, stage, *flags)
        assert Hearing((Happening.REFUSED,)) == heard("accepted", Concerns.INTAKE, "refused", *one)
        assert Hearing(contradicts=True) == heard("accepted", Concerns.INTAKE, "refused", *two)


@pytest.mark.parametrize("state", ["refused", "withdrawn", "superseded"])
def test_what_has_ended_is_contradicted_by_every_word_that_it_lives(state: str) -> None:
    """Accepted and any stage ask a person; a refusal or a duplicate of it says nothing new."""
    for (concerns, word), flags in product(IS_NEWS, FLAGS):
        lives = concerns is Concerns.STAGE or word == "accepted"
        assert Hearing(contradicts=lives) == heard(state, concerns, word, *flags)


def test_a_person_who_is_asked_is_not_overruled_unless_it_was_once_known_as_sent() -> None:
    """Before that, every word waits for the answer; after it, the portal answers itself."""
    back = (Happening.FOUND, Happening.ACCEPTED)
    for may_be_there, may_be_another in product((False, True), repeat=2):
        flags = (may_be_there, may_be_another)
        for concerns, word in IS_NEWS:
            waits = not (concerns is Concerns.INTAKE and word == "duplicate")
            assert Hearing(wait=waits) == heard("needs_human", concerns, word, False, *flags)  # noqa: FBT003 - a flag
            if concerns is Concerns.STAGE:
                assert Hearing(back, stage=True) == heard("needs_human", concerns, word, True, *flags)  # noqa: FBT003
        assert Hearing(back) == heard("needs_human", Concerns.INTAKE, "accepted", True, *flags)  # noqa: FBT003
        expected = Hearing(contradicts=True) if may_be_another else Hearing((Happening.REFUSED,))
        assert expected == heard("needs_human", Concerns.INTAKE, "refused", True, *flags)  # noqa: FBT003


def test_ready_hears_only_what_an_earlier_attempt_may_have_left_there() -> None:
    """Untried it hears nothing; else acceptance and stages find it, a refusal refuses it, a duplicate stops it."""
    back = (Happening.FOUND, Happening.ACCEPTED)
    for was_sent, may_be_another in product((False, True), repeat=2):
        for concerns, word in IS_NEWS:
            assert Hearing() == heard("ready", concerns, word, was_sent, False, may_be_another)  # noqa: FBT003
            if concerns is Concerns.STAGE:
                expected = Hearing(back, stage=True)
                assert expected == heard("ready", concerns, word, was_sent, True, may_be_another)  # noqa: FBT003
        there = (was_sent, True, may_be_another)
        assert Hearing(back) == heard("ready", Concerns.INTAKE, "accepted", *there)
        assert Hearing((Happening.STUCK,)) == heard("ready", Concerns.INTAKE, "duplicate", *there)
        refused = (Happening.STUCK,) if may_be_another else (Happening.STUCK, Happening.REFUSED)
        assert Hearing(refused) == heard("ready", Concerns.INTAKE, "refused", *there)


EARLY, LATE = dt.datetime(2031, 1, 1, tzinfo=dt.UTC), dt.datetime(2031, 1, 2, tzinfo=dt.UTC)
TIMES = [(None, None), (None, LATE), (EARLY, None), (EARLY, LATE), (LATE, EARLY), (LATE, LATE)]
ASKS = {("paid", "rejected"), ("paid", "cancelled"), ("scheduled", "cancelled")}


@pytest.mark.parametrize(("stage", "word"), list(product([None, *Stage], STAGE_WORDS)))
def test_the_stage_follows_every_known_word_that_is_not_older(stage: Stage | None, word: str) -> None:
    """Unknown words and older known events change nothing; all else becomes the stage, and its time is kept."""
    for happened_at, known_until in TIMES:
        after = stage_after(stage, word, happened_at=happened_at, known_until=known_until)
        older = (happened_at, known_until) == (EARLY, LATE)
        if word in ("unknown", "half-baked", "accepted") or older:
            assert (stage, False, False, False) == (after.stage, after.moved, after.person, after.counts)
            assert known_until == after.known_until
        else:
            assert (word, word != stage, True) == (after.stage, after.moved, after.counts)
            assert ((stage, word) in ASKS) == after.person
            assert after.known_until == (happened_at or known_until)
