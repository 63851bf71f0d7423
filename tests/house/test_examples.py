"""The examples run, in a short form."""

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_serving_answers_every_request(capsys):
    pytest.importorskip("sklearn")
    found = example("serving").main(requests=21, samples=16)
    assert list(found) == ["uncoded", "repetition", "fitted"]
    for p50, p99, agreement in found.values():
        assert 0 < p50 <= p99
        assert agreement >= 0.8
    assert found["uncoded"][2] == found["repetition"][2] == 1.0
    assert "fitted      4 workers: p50" in capsys.readouterr().out


def test_a_scheduler_of_ones_own_repeats_a_row_that_hangs():
    answer = example("eager_copies").main()
    assert answer.exact
    assert [attempt.row for attempt in answer.report.of("abandoned")] == [2]
