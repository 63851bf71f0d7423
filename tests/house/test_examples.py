"""The examples run, in a short form."""

import importlib.util
import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.codes import decodable
from kofn.simulation import VirtualPool
from kofn.testing import check_engine, check_scheme, unknowns_of

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
    eager_copies = example("eager_copies")
    A, B = np.random.default_rng(0).standard_normal((30, 20)), np.eye(20)
    pool = VirtualPool([[0.001], [0.001], [10.0]])
    answer = kofn.run(kofn.schemes.uncoded(A, B, workers=3), workers=pool, scheduler=eager_copies.EagerCopies())
    assert answer.exact and answer.report.seconds == 0.002
    assert [attempt.row for attempt in answer.report.of("abandoned")] == [2]
    told = eager_copies.main()  # where copies of what was quick may be on their way too
    assert told.exact
    assert (2, 2) in [(attempt.row, attempt.worker) for attempt in told.report.of("abandoned")]


def test_a_code_of_ones_own_conforms_and_does_without_any_three_results():
    product_code, main = (getattr(example("product_code"), name) for name in ("product_code", "main"))
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((13, 8)), rng.standard_normal((8, 11))
    for blocks in ((2, 2), (3, 2), (1, 1)):
        scheme = product_code(A, B, blocks=blocks, rng=0)
        check_scheme(scheme, A @ B, unknowns_of(scheme, A @ B), scale=np.linalg.norm(A) * np.linalg.norm(B))
    code = product_code(A, B, rows=9).code
    everyone = set(range(9))
    assert all(decodable(code, list(everyone - set(lost))) for lost in combinations(range(9), 3))
    assert not decodable(code, list(everyone - {0, 1, 3, 4}))
    assert main().exact


def test_a_code_of_ones_own_is_short():
    assert len((EXAMPLES / "product_code.py").read_text(encoding="utf-8").splitlines()) < 60
