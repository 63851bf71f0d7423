"""Chaos: seeded jobs of every kind under every fault, whose answers are compared with what is right.

``python -m kofn.testing.chaos --engine local --jobs 200 --seed 0`` runs it.
"""

from __future__ import annotations

from ._draws import Case, Round, draw_round
from ._engines import ENGINES
from ._play import Result
from ._run import Tally, run

__all__ = ["ENGINES", "Case", "Result", "Round", "Tally", "draw_round", "run"]
