"""The examples run, in a short form."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import kofn
from kofn.testing import check_engine

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


@pytest.fixture
def own_engine(monkeypatch):
    """An engine whose workers find kofn where this process does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return example("own_engine")


def test_an_engine_of_ones_own_is_written_in_few_lines():
    lines = (EXAMPLES / "own_engine.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 120


def test_an_engine_of_ones_own_computes_products(own_engine):
    assert own_engine.main().exact
    assert own_engine.main(sys.executable, sys.executable).report.workers == 2


@pytest.mark.slow
def test_an_engine_of_ones_own_keeps_what_engines_promise(own_engine):
    found = check_engine(lambda: own_engine.CommandPool(*[sys.executable] * 3), payload_bytes=10_000_000)
    assert set(found.values()) == {"held"}


def test_an_engine_whose_command_does_not_start_python_is_an_error_and_no_hang(own_engine):
    with pytest.raises(kofn.NotDecodable, match="all 2 workers are gone"):
        own_engine.main("false", "no-such-command")


def test_a_scheduler_of_ones_own_repeats_a_row_that_hangs():
    answer = example("eager_copies").main()
    assert answer.exact
    assert [attempt.row for attempt in answer.report.of("abandoned")] == [2]
