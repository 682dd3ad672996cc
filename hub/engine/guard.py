"""One piece of work that fails stops no other."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

from hub.delivery.workspace import Workspace
from hub.store.database import StoreError

_log = logging.getLogger(__name__)
T = TypeVar("T")


def guarded(ws: Workspace, what: str, piece: Callable[[], T]) -> T | None:
    """What `piece` comes to; None if it failed, which is logged, without secrets. Raises StoreError alone."""
    try:
        return piece()
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the others go on
        trace = ws.archive.scrub.text(traceback.format_exc())
        _log.error("%s failed; the others go on\n%s", what, trace)  # not `exception`, which would not scrub it
        return None
