"""Figures of sum recovery: the series that they promise, tails that fall, and the order of the schemes."""

import numpy as np
import pytest

from kofn_studies.figures import FIGURES, Request, sr_decode

NAMES = {
    "sr-fig2a": "one unc rep bcc lt lt-tuned sr-1000 cyclic ring hint bound",
    "sr-fig2b": "lt lt-tuned sr-1000 sr-400 sr-100 cyclic",
    "sr-fig2c": "sr-symbols lt-symbols cover",
    "sr-pareto": "one unc rep bcc lt lt-tuned sr-1000 cyclic ring hint bound",
}


@pytest.mark.parametrize("name", NAMES)
def test_tails(name):
    figure = FIGURES[name].figure(Request(3))
    assert figure.names == NAMES[name].split()
    for series in figure.series:
        assert np.all(np.diff(series.y) <= 0) and max(series.y) <= 1.0 and min(series.err) > 0
    assert FIGURES[name].draw(figure).axes
    if name in ("sr-fig2a", "sr-pareto"):
        area = {series.name: np.trapezoid(series.y, series.x) for series in figure.series}
        assert area["bound"] <= area["hint"] <= area["cyclic"] <= area["sr-1000"] < area["rep"] < area["unc"]


def test_decode_cost(monkeypatch):
    monkeypatch.setattr(sr_decode, "SIZES", (500, 1000))
    figure = FIGURES["sr-decode"].figure(Request(2))
    assert figure.names == [f"{code}-{part}" for code in ("cyclic", "sr", "sr-3") for part in sr_decode.PARTS]
    assert max(figure["cyclic-messages"].y) < min(figure["sr-messages"].y)
    assert len(FIGURES["sr-decode"].draw(figure).axes) == 3


def test_the_error_of_a_decode_time_is_that_of_a_mean_of_runs():
    """Runs that take 1 and 3 have the mean 2, and it the standard error 1."""
    study = FIGURES["sr-decode"].plan(Request(2))
    figure = study.figure({point: {"found": np.full(3, 1.0 + 2.0 * point.number)} for point in study.points})
    assert {(series.y, series.err) for series in figure.series} == {((2.0,) * 3, (1.0,) * 3)}


def test_a_quick_run_counts_smaller_sums_under_the_same_names():
    request = Request(2, quick=True)
    counted, decoded = (FIGURES[name].figure(request) for name in ("sr-fig2c", "sr-decode"))
    assert counted.names == NAMES["sr-fig2c"].split() and "quick: m = 200" in counted.title
    assert counted["sr-symbols"].y[0] == 1.0 > counted["sr-symbols"].y[-1]
    assert decoded["cyclic-decode"].x == sr_decode.QUICK_SIZES
