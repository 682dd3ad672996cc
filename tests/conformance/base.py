"""The fixtures of the suite: one portal a class, as just started for each test; a desk, and a house where asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from faults import Fault

from conformance.desk import Desk
from conformance.house import House, compiled_once, empty_ledger, installed
from conformance.live import LiveStand, live_desk
from conformance.stand import Stand
from hub.contract.connector import Capabilities
from hub.contract.status import Delivered

_IMPATIENT = 1.0  # seconds, where only the caller ends what nobody answers
safe_live = pytest.mark.safe_live  # it may run against a sandbox: `--live`


class Base:
    """What the checks ask for. A connector's test gives `Stand`."""

    Stand: ClassVar[type[Stand]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each check of faults runs once for each that can befall this portal."""
        faults = self.Stand.faults
        sets = {
            "fault": [one for one in faults if "submit" in one.befalls],
            "failing": [one for one in faults if "submit" in one.befalls and Delivered.YES not in one.says],
            "unanswered": [one for one in faults if "find" in one.befalls and Delivered.YES not in one.says],
        }
        for name in sets.keys() & set(metafunc.fixturenames):
            metafunc.parametrize(name, sets[name], ids=lambda fault: fault.name)

    @pytest.fixture(scope="class")
    @classmethod
    def _portal(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
        """The portal with a desk at it, for all tests of the class."""
        if account := request.config.getoption("live"):
            yield live_desk(cls.Stand, account, request.config.getoption("live_workspace"))
            return
        with pytest.MonkeyPatch.context() as patch, compiled_once(), installed(cls.Stand), cls.Stand.open() as stand:
            patch.setenv("HUB_STATE", str(tmp_path_factory.mktemp("state")))  # no test knows this machine's ledgers
            yield Desk.at(stand, tmp_path_factory.mktemp("desk"))

    @pytest.fixture(scope="class")
    @classmethod
    def _ledger(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return empty_ledger(tmp_path_factory.mktemp("ledger"))

    @pytest.fixture(autouse=True)
    def _as_just_started(self, request: pytest.FixtureRequest, _portal: Desk) -> None:
        """The portal has forgotten the test before; a sandbox runs what is safe there, and skips the rest."""
        if isinstance(_portal.stand, LiveStand):
            if request.node.get_closest_marker("safe_live") is None:
                pytest.skip("a real portal cannot be told to do this")
            _portal.prefix = f"HUB-{hashlib.sha256(request.node.name.encode()).hexdigest()[:4]}-{_portal.stand.run}-"
        _portal.stand.reset()

    @pytest.fixture
    def desk(self, _portal: Desk) -> Desk:
        """A desk at the portal."""
        _portal.lent = type(_portal.lent)()
        return _portal

    @pytest.fixture
    def stand(self, desk: Desk) -> Stand:
        """The portal."""
        return desk.stand

    @pytest.fixture
    def can(self, desk: Desk) -> Capabilities:
        """What the connector declares."""
        with desk.connector() as connector:
            return connector.capabilities

    @pytest.fixture
    def build(self, stand: Stand, tmp_path: Path, _ledger: Path) -> Iterator[Callable[..., House]]:
        """Build houses; all are closed after the test."""
        built: list[House] = []

        def build(settings: dict[str, Any] | None = None) -> House:
            built.append(House.build(stand, tmp_path / f"house{len(built)}", _ledger, settings))
            return built[-1]

        yield build
        for house in built:
            house.close()

    @pytest.fixture
    def house(self, build: Callable[..., House]) -> House:
        """A workspace of the hub with this connector."""
        return build()


def needs(holds: object, why: str) -> None:
    """Skip where a connector does not declare something, or its stand cannot play it."""
    if not holds:
        pytest.skip(why)


def may_submit(desk: Desk) -> bool:
    """Whether nothing that counts can come of a submit: always at a simulator, and at a sandbox that says it is one."""
    settings = desk.config.connections[desk.account().connection].settings
    return not isinstance(desk.stand, LiveStand) or desk.stand.is_sandbox(settings)


def arm(
    stand: Stand, fault: Fault, *, verb: str, number: str | None = None, times: int | None = 1
) -> dict[str, Any] | None:
    """Let a fault befall the next request; the settings to meet it with, where they are not the usual ones."""
    if fault.by == "settings":
        return stand.befallen(fault)
    stand.befall(fault, verb=verb, number=number, times=times)
    return stand.settings(timeout=_IMPATIENT) if fault.name == "black_hole" else None
