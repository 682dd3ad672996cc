"""Benchmarks: each compares or counts within one run; none asserts a time."""

import os
import tempfile

_STATE = tempfile.TemporaryDirectory(prefix="hub-state-")
os.environ.setdefault("HUB_STATE", _STATE.name)  # of subprocesses too: no run leaves its ledgers' marks on this machine
