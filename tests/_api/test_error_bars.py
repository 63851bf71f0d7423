"""Error bars of codes for any function, validated on what they did not see: draws of `benchmarks/error_bars.py`."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.schemes import FUNCTIONS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "error_bars.py"
SPEC = importlib.util.spec_from_file_location("error_bars", SCRIPT)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


def honest(seeds):
    """Share of draws whose error is between a third and three times the error bar."""
    ratios = [bench.ratio(code, seed) for code in bench.CODES for seed in seeds]
    return np.mean([1 / 3 < ratio < 3 for ratio in ratios if ratio is not None])


def test_error_bars_of_drawn_functions_are_honest():
    assert honest(range(200, 244)) >= 0.88


@pytest.mark.slow
def test_error_bars_of_two_hundred_drawn_functions_are_honest():
    assert honest(range(200)) >= 0.9


@pytest.mark.parametrize("code", ["kriging", "letcc"])
@pytest.mark.parametrize(
    "speed", [9.0, *(pytest.param(speed, marks=pytest.mark.slow) for speed in (1.0, 3.0, 5.0, 17.0))]
)
def test_what_repeats_between_samples_is_not_taken_for_smooth(code, speed):
    """Eight evaluations of a thousand inputs, some of them in step with the function: nothing is known between them."""
    inputs = np.linspace(0.0, 100.0, 1000)
    f = lambda x: np.sin(speed * x + 0.3)  # noqa: E731
    error, bar = bench.measured(FUNCTIONS[code](f, inputs, workers=8), f(inputs), np.arange(8))
    assert 1 / 3 < error / bar < 3


def test_the_bar_of_a_job_is_that_of_its_results():
    with kofn.ThreadPool(6) as pool:
        constant = kofn.map(lambda x: 0 * x + 5.0, np.linspace(0, 1, 50), workers=pool, code="kriging", recover=5)
        noise = kofn.map(lambda x: np.sin(1e6 * x), np.linspace(0, 1, 50), workers=pool, code="kriging", recover=5)
    assert 0 < constant.error < 0.3 < noise.error < 3


@pytest.mark.parametrize("code", bench.CODES)
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_the_bar_knows_no_units(code, scale):
    inputs, found = np.linspace(-1, 1, 9), []
    for unit in (1.0, scale):
        f = lambda x: unit * np.array([np.exp(x), np.sin(3 * x)])  # noqa: B023, E731
        found.append(
            bench.measured(FUNCTIONS[code](f, inputs, workers=7), np.array([f(x) for x in inputs]), np.arange(5))
        )
    assert np.allclose(found[0], found[1], rtol=1e-6)
