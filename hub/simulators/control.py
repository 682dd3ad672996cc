"""The control plane: JSON over HTTP on a port of its own, outside everything the real portal has."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from hub.simulators.faults import ACTS, LASTING, OF_THE_PORT, VERBS, Fault
from hub.simulators.portal import Json, Portal, Route, Unable
from hub.simulators.server import Server
from hub.simulators.wire import Refused, Reply, Request, Wire, parsed

FAULT_NAMES = sorted({*ACTS, *OF_THE_PORT})
FAULT_KEYS = frozenset({"fault", "verb", "times", "number", "seconds"})


class Control:
    """Answers the control routes of one portal."""

    def __init__(self, portal: Portal, port: int) -> None:
        self._portal = portal
        self._routes: Mapping[tuple[str, str], Route] = {
            ("GET", "/control/healthz"): lambda _: {"ok": True},
            ("GET", "/control/requests"): lambda _: [dataclasses.asdict(entry) for entry in tuple(portal.log)],
            ("GET", "/control/faults"): self._faults,
            ("POST", "/control/faults"): self._arm,
            ("DELETE", "/control/faults"): self._clear,
            ("POST", "/control/meaning"): self._meaning,
            ("POST", "/control/reset"): self._reset,
            **portal.app.routes(),
        }
        self.server = Server(self._answer, port=port, max_body=2 * portal.app.max_body)

    def _answer(self, wire: Wire, request: Request) -> None:
        try:
            wire.reply(_json(200, self._do(request)))
        except Unable as unable:
            wire.reply(_json(unable.status, {"error": str(unable)}))

    def _do(self, request: Request) -> object:
        route = self._routes.get((request.method, request.path))
        if route is None:
            known = ", ".join(f"{method} {path}" for method, path in sorted(self._routes))
            raise Unable(404, f"{request.method} {request.path} is no control route; there are: {known}")
        if not request.body:
            return route(dict(parse_qsl(request.query)))
        try:
            body = json.loads(request.body)
        except ValueError as error:
            raise Unable(400, f"the body is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise Unable(400, "the body is not a JSON object")
        return route(body)

    def _faults(self, _body: Json) -> object:
        return [dataclasses.asdict(fault) for fault in self._portal.faults.armed()]

    def _arm(self, body: Json) -> object:
        self._portal.arm(read_fault(body))
        return {"armed": body["fault"]}

    def _clear(self, _body: Json) -> object:
        self._portal.clear()
        return {"armed": []}

    def _meaning(self, body: Json) -> object:
        """What a request would ask for; nothing is done."""
        try:
            call = self._portal.app.call(parsed(base64.b64decode(str(body.get("request")), validate=True)))
        except (Refused, binascii.Error) as error:
            raise Unable(400, f"request is no HTTP request in base64: {error}") from None
        return {"verb": call.verb, "number": call.number}

    def _reset(self, _body: Json) -> object:
        self._portal.reset()
        return {"ok": True}


def read_fault(body: Json) -> Fault:
    """The fault that a control request describes. Raises Unable for what no fault or no such fault can do."""
    name = body.get("fault")
    if name not in FAULT_NAMES:
        raise Unable(400, f"fault {name!r} is unknown; there are: {', '.join(FAULT_NAMES)}")
    if unknown := sorted(body.keys() - FAULT_KEYS):
        raise Unable(400, f"{unknown} are no keys of a fault; there are: {sorted(FAULT_KEYS)}")
    if name in OF_THE_PORT and (meaningless := sorted(body.keys() & {"verb", "times", "number"})):
        raise Unable(400, f"{name} concerns the port, before any request: leave out {meaningless}")
    if name not in LASTING and "seconds" in body:
        raise Unable(400, f"{name} does not last: leave out seconds")
    verb, number, times = body.get("verb", "any"), body.get("number"), body.get("times", 1)
    if verb not in (*VERBS, "any"):
        raise Unable(400, f"verb {verb!r} is unknown; there are: {', '.join(VERBS)}, any")
    if not (times is None or (isinstance(times, int) and times > 0)):
        raise Unable(400, f"times is {times!r}; give a count of 1 or more, or null for until cleared")
    seconds = body.get("seconds", Fault.seconds)
    if not isinstance(seconds, int | float) or seconds <= 0:
        raise Unable(400, f"seconds is {seconds!r}; give a number above 0")
    return Fault(str(name), str(verb), times, None if number is None else str(number), float(seconds))


def _json(status: int, content: object) -> Reply:
    return Reply(status, "application/json", json.dumps(content).encode())
