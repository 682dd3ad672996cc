"""What can go wrong between a connector and a portal, each with its name, and where to arm it.

    befall(FAULTS["drop_after_commit"], sim=sim, number="INV-1")

What a portal's server can do is the simulator's own (hub/simulators/README.md); what can befall bytes on their way is
done by a `Line` between the two; the rest is a setting, of the simulator or of the connector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from line import Line

from hub.contract.status import Delivered
from hub.simulators.client import Simulator

__all__ = ["COMMITTED", "FAULTS", "OF_SUBMIT", "UNCOMMITTED", "UNRESOLVED", "Fault", "Line", "befall"]

UNRESOLVED = "no-such-portal.invalid"  # no name server knows it (RFC 2606)

_ANY = frozenset({"submit", "find", "statuses", "token", "profile"})
_SUBMIT = frozenset({"submit"})
_ASKED = frozenset({"find", "statuses"})
_LISTED = frozenset({"statuses"})

_KEPT, _NOTHING = True, False
_YES = frozenset({Delivered.YES})
_NO = frozenset({Delivered.NO})
_UNKNOWN = frozenset({Delivered.UNKNOWN})
_NOT_DONE = _NO | _UNKNOWN  # the answer says that nothing was done; who will not trust it asks
_LATE = _YES | _UNKNOWN  # who waits long enough gets the answer


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong."""

    name: str
    words: str  # one sentence: what happens
    committed: bool  # what was asked is kept by the portal, now or a little later
    says: frozenset[Delivered]  # what an honest connector may say of a submit that meets it; YES: it has a receipt
    befalls: frozenset[str]  # the verbs where it makes sense
    by: str  # who does it: "control" (the simulator), "line", "set" (a setting of the simulator), "settings" (ours)
    seconds: float | None = None  # how long it lasts where `befall` is told nothing else; None: it does not last


_ALL = (
    # Nothing ever arrives.
    Fault("refuse", "The port is closed.", _NOTHING, _NO, _ANY, "control", 30.0),
    Fault("name_not_resolved", "No name server knows the portal's name.", _NOTHING, _NO, _ANY, "settings"),
    # It arrives and nothing is kept.
    Fault("drop_before_commit", "All is read, and the connection closes.", _NOTHING, _UNKNOWN, _ANY, "control"),
    Fault("html_page", "A maintenance page comes with HTTP 200.", _NOTHING, _UNKNOWN, _ANY, "control"),
    Fault("empty_200", "HTTP 200 comes without a body; nothing was done.", _NOTHING, _UNKNOWN, _ANY, "control"),
    Fault("503", "HTTP 503 comes in a few words.", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("503_page", "A maintenance page comes with HTTP 503.", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("429", "HTTP 429 comes with Retry-After.", _NOTHING, _NOT_DONE, _ANY, "control", 1.0),
    Fault("401", "HTTP 401 comes in the middle of a run.", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("401_in_body", "The portal says in its own form: who are you?", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("login_page", "A login form comes with HTTP 200.", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("login_redirect", "HTTP 302 leads to a login form.", _NOTHING, _NOT_DONE, _ANY, "control"),
    Fault("cut_request", "Half of the request arrives; the connection closes.", _NOTHING, _UNKNOWN, _ANY, "line"),
    Fault("black_hole", "All is taken on the way, nothing arrives or is answered.", _NOTHING, _UNKNOWN, _ANY, "line"),
    # It is kept, and the answer is lost.
    Fault("drop_after_commit", "All is done; the connection closes.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("reset_after_commit", "All is done; the connection is reset.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("hang_after_commit", "All is done; nothing is said until it closes.", _KEPT, _UNKNOWN, _ANY, "control", 1.0),
    Fault("500_after_commit", "All is done; HTTP 500 comes with a page.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("torn_headers_after_commit", "All is done; the reply ends in its headers.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("cut_body_after_commit", "All is done; half of the body arrives.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("html_page_after_commit", "All is done; a page comes with HTTP 200.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("empty_200_after_commit", "All is done; HTTP 200 comes without a body.", _KEPT, _UNKNOWN, _ANY, "control"),
    Fault("late_commit", "HTTP 500 comes; all is done some time later.", _KEPT, _UNKNOWN, _SUBMIT, "control", 1.0),
    Fault("cut_reply", "All is done; the line ends within the reply.", _KEPT, _UNKNOWN, _ANY, "line"),
    Fault("reset_in_reply", "All is done; the line is reset within the reply.", _KEPT, _UNKNOWN, _ANY, "line"),
    Fault("tls_broken", "All is done; a TLS record is broken within the headers.", _KEPT, _UNKNOWN, _ANY, "line"),
    Fault("tls_broken_in_body", "All is done; a TLS record is broken within the body.", _KEPT, _UNKNOWN, _ANY, "line"),
    # It is kept, and the answer takes its time.
    Fault("slow", "All is done; the answer comes some time later.", _KEPT, _LATE, _ANY, "control", 0.5),
    Fault("delay", "The request is held up on its way; then all goes well.", _KEPT, _LATE, _ANY, "line", 0.5),
    Fault("drip", "All is done; the answer comes a byte at a time.", _KEPT, _LATE, _ANY, "line", 0.5),
    # All goes well, and what is told afterwards is not as it should be.
    Fault("search_lag", "The search shows a document some time after it came.", _KEPT, _YES, _ASKED, "set", 1.5),
    Fault("search_never", "The search never shows a document.", _KEPT, _YES, _ASKED, "set"),
    Fault("duplicate_events", "Each status is told twice, across pages too.", _KEPT, _YES, _LISTED, "set"),
    Fault("events_out_of_order", "An older status is told after a newer one.", _KEPT, _YES, _LISTED, "set"),
    Fault("unknown_word", "What has come bears a status word that nobody knows.", _KEPT, _YES, _ASKED, "set"),
    Fault("token_expired", "The access tokens that were given are no longer good.", _KEPT, _YES, _ASKED, "set"),
    Fault("clock_ahead", "The portal's clock goes half an hour ahead.", _KEPT, _YES, _ANY, "set", 1800.0),
    Fault("clock_behind", "The portal's clock goes half an hour behind.", _KEPT, _YES, _ANY, "set", 1800.0),
)  # fmt: skip
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}

OF_SUBMIT = tuple(fault for fault in _ALL if "submit" in fault.befalls)
COMMITTED = tuple(fault for fault in OF_SUBMIT if fault.committed)
UNCOMMITTED = tuple(fault for fault in OF_SUBMIT if not fault.committed)


def befall(
    fault: Fault,
    *,
    sim: Simulator,
    line: Line | None = None,
    verb: str = "submit",
    times: int | None = 1,
    number: str | None = None,
    seconds: float | None = None,
) -> None:
    """Arm `fault` where it belongs: for the next `times` requests of this verb (None: until cleared), for `number`.

    `refuse` and settings last until they are cleared: sim.clear_faults() and line.clear() end everything but a clock.
    `unknown_word` changes what is there already. Raises ValueError for a fault that cannot be armed from here.
    """
    seconds = fault.seconds if seconds is None else seconds
    lasting = {} if seconds is None else {"seconds": seconds}
    if fault.name == "refuse" and line is not None:
        line.arm("refuse")
    elif fault.name == "refuse":
        sim.fault("refuse", **lasting)
    elif fault.by == "control":
        sim.fault(fault.name, verb=verb, times=times, number=number, **lasting)
    elif fault.by == "set":
        _SETTINGS[fault.name](sim, number, seconds or 0.0)
    elif fault.by == "line" and line is not None:
        line.arm(fault.name, times=times, hits=lambda request: _meant(sim, request, verb, number), **lasting)
    else:
        where = "befall(…, line=…)" if fault.by == "line" else f"the connector's settings: a host as {UNRESOLVED}"
        raise ValueError(f"{fault.name} is armed by {where}")


def _meant(sim: Simulator, request: bytes, verb: str, number: str | None) -> bool:
    """Whether this request is one of this verb for this number; the simulator knows its portal's requests."""
    asked, about = sim.meaning(request)
    return verb in ("any", asked) and number in (None, (about or "").strip())


def _unknown_word(sim: Simulator, number: str | None, _seconds: float) -> None:
    for each in {document["number"] for document in sim.documents()} if number is None else {number}:
        sim.set_status(each, "Betwixt")


_SETTINGS: Mapping[str, Callable[[Simulator, str | None, float], None]] = {
    "search_lag": lambda sim, number, seconds: sim.search(lag_seconds=seconds, number=number),
    "search_never": lambda sim, number, _: sim.search(lag_seconds=None, number=number),
    "duplicate_events": lambda sim, number, _: sim.feed("twice", number=number),
    "events_out_of_order": lambda sim, number, _: sim.feed("stale", number=number),
    "unknown_word": _unknown_word,
    "token_expired": lambda sim, _number, _seconds: sim.forget_tokens(),
    "clock_ahead": lambda sim, _, seconds: sim.clock(seconds),
    "clock_behind": lambda sim, _, seconds: sim.clock(-seconds),
}
