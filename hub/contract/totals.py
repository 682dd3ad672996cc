"""EN 16931's arithmetic (BR-CO-10 to BR-CO-17): recompute every total from what it is made of and compare."""

from __future__ import annotations
