"""How much rounding is amplified in runs with fresh rows, over histories of delays that are drawn."""

import numpy as np
import pytest

import kofn
from kofn.codes import RatelessRows
from kofn.codes._rows import AMPLIFICATION
from kofn.jobs import _state
from kofn.jobs._collector import Collector
from processes import slow_but
from recorded_delays import Recorded

SHAPES = [None, (8, 1), (4, 2), (12, 1), (4, 4), (24, 1)]
MOST = 1e-3
"""Share of histories that may need more than `AMPLIFICATION`."""


def amplified(rng):
    """What came of one history: amplification, and how many fresh rows were made."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    unknowns, workers = 8 if shape is None else shape[0] * shape[1], int(rng.integers(2, 9))
    code = kofn.LinearCode("plain", np.eye(unknowns), np.eye(unknowns), worker=np.arange(unknowns) % workers)
    rows = RatelessRows(code, shape, seed=int(rng.integers(1000)))
    state = _state.RunState(Collector(code), workers, kofn.CodedBackups(after=rng.choice([0.0, 1.25])), rows=rows)
    delays = 0.5 * (1.0 + rng.pareto(rng.choice([0.8, 1.5]), (workers, 40)))
    assert Recorded(state, delays.tolist()).run() == "exact"
    return float(state.collector.decoding.amplification), state.collector.code.rows - unknowns


@pytest.mark.parametrize("histories", slow_but([100, 10_000], [100]))
def test_so_many_rows_as_are_missing_amplify_little_in_nearly_every_history(histories, monkeypatch):
    monkeypatch.setattr(_state, "AMPLIFICATION", np.inf)  # the first rows that decode, however they amplify
    rng = np.random.default_rng(14)
    found = np.array([amplified(rng) for _ in range(histories)])
    assert np.mean(found[:, 1] >= 2) > 0.3  # of one fresh row there is little to say
    assert np.mean(found[:, 0] > AMPLIFICATION) <= MOST


def test_a_run_asks_for_rows_until_rounding_is_amplified_little(monkeypatch):
    limit = 10.0  # far more histories need another row than of a limit of a thousand
    rng = np.random.default_rng(15)
    monkeypatch.setattr(_state, "AMPLIFICATION", np.inf)
    before = [amplified(rng)[0] for _ in range(40)]
    rng = np.random.default_rng(15)
    monkeypatch.setattr(_state, "AMPLIFICATION", limit)
    after = [amplified(rng)[0] for _ in range(40)]
    assert max(before) > limit >= max(after)
