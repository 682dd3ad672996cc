"""The bytes: the same from the same, wherever and whenever they are prepared, and the same again on a resend."""

from __future__ import annotations

import locale
import os
import pickle
import subprocess
import sys
import time
from typing import Any

import pytest
from faults import FAULTS

from conformance import child
from conformance.base import Base, needs, safe_live
from conformance.desk import Desk, stamp
from conformance.house import House
from conformance.stand import Stand
from hub.contract.connector import Capabilities, MappedInvoice, Stamp, Step
from hub.delivery.attempts import step_from_row, steps_of

_ZONES = ("Pacific/Kiritimati", "America/St_Johns")
_LOCALES = ("tr_TR.UTF-8", "de_DE.UTF-8", "fa_IR.UTF-8", "C.UTF-8", "C", "POSIX")
_TEXT = "Kugellager IİIı, Größe ½ 🛠️"  # noqa: RUF001 - letters that locales treat differently
_ROAD = "drop_before_commit"


class Preparing(Base):
    """Prepare is pure; what was prepared is what goes out, each time."""

    def _prepared(self, desk: Desk) -> tuple[MappedInvoice, Stamp]:
        return desk.mapped(desk.invoice("PURE-1", text=_TEXT)), stamp("pure")

    @safe_live
    def test_prepared_twice_it_is_the_same(self, desk: Desk) -> None:
        """By one connector, by another, and after both were used."""
        mapped, given = self._prepared(desk)
        with desk.connector() as one, desk.connector() as other:
            first = one.prepare(mapped, given, None)
            one.check()
            assert first == one.prepare(mapped, given, None) == other.prepare(mapped, given, None)

    @safe_live
    def test_every_invoice_has_a_key_of_its_own(self, desk: Desk) -> None:
        """Another stamp gives another key, and every step its own name."""
        mapped, given = self._prepared(desk)
        with desk.connector() as connector:
            one, other = connector.prepare(mapped, given, None), connector.prepare(mapped, stamp("other"), None)
        assert {step.key for step in one}.isdisjoint(step.key for step in other)
        assert len(one) == len({step.name for step in one})

    @safe_live
    @pytest.mark.parametrize("zone", _ZONES)
    def test_prepared_in_another_zone_it_is_the_same(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        """Where the machine stands says nothing of the invoice."""
        mapped, given = self._prepared(desk)
        with desk.connector() as connector:
            before = connector.prepare(mapped, given, None)
            with monkeypatch.context() as patch:
                patch.setenv("TZ", zone)
                time.tzset()
                there = connector.prepare(mapped, given, None)
            time.tzset()
        assert before == there

    @safe_live
    def test_prepared_under_another_locale_it_is_the_same(self, desk: Desk) -> None:
        """Neither numbers nor letters follow the machine's habits; as far as it has other locales."""
        mapped, given = self._prepared(desk)
        before = locale.setlocale(locale.LC_ALL)
        prepared = {}
        with desk.connector() as connector:
            try:
                for name in _LOCALES:
                    try:
                        locale.setlocale(locale.LC_ALL, name)
                    except locale.Error:
                        continue
                    prepared[name] = connector.prepare(mapped, given, None)
            finally:
                locale.setlocale(locale.LC_ALL, before)
        assert 1 == len(set(prepared.values()))

    @safe_live
    def test_prepared_by_another_process_it_is_the_same(self, desk: Desk) -> None:
        """With another seed of hashes, another zone, another locale and another folder."""
        mapped, given = self._prepared(desk)
        with desk.connector() as connector:
            ours = child.fingerprint(connector.prepare(mapped, given, None))
            told = pickle.dumps((type(connector), connector.settings, mapped, given))
        others = [
            subprocess.Popen(
                [sys.executable, child.__file__, "prepare"],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed, "TZ": zone} | more,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for seed, zone, more in (("1", _ZONES[0], {"LC_ALL": "C"}), ("2", _ZONES[1], {"LC_ALL": "tr_TR.UTF-8"}))
        ]
        theirs = [other.communicate(told, timeout=120)[0].decode().strip() for other in others]
        assert [ours, ours] == theirs

    def test_a_resend_sends_the_stored_bytes(self, desk: Desk, stand: Stand, can: Capabilities, house: House) -> None:
        """After doubt the portal gets, byte for byte, what a first send of the stored step would have brought it."""
        needs(not can.people and FAULTS[_ROAD] in stand.faults, "nothing can be lost on the way")
        stand.befall(FAULTS[_ROAD], number="AGAIN-1")
        house.put(desk.invoice("AGAIN-1", text=_TEXT))
        house.work()
        attempts = house.attempts("AGAIN-1")
        needs(len(attempts) > 1, "it was not sent again: a person is asked")
        (resent,) = stand.held("AGAIN-1")
        assert 1 == len({attempt.body_sha256 for attempt in attempts})
        stored = self._stored(house, attempts[0])
        stand.reset()
        with desk.connector() as connector:
            desk.send(connector, stored)
        (first,) = stand.held("AGAIN-1")
        assert first.body == resent.body

    @staticmethod
    def _stored(house: House, attempt: Any) -> tuple[Step, ...]:
        """The steps of the submission, with their bytes from the archive."""
        with house.ws.db.reading() as tx:
            rows = steps_of(tx, attempt.submission_id)
        return tuple(step_from_row(row, house.ws.blobs.read(row.body_sha256)) for row in rows)
