"""Codes are frozen and refuse to contradict themselves."""

import numpy as np
import pytest

from kofn.codes._linear import LinearCode
from kofn.errors import CodeError

G = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def code(**changes):
    arguments = {"name": "parity", "generator": G, "targets": np.eye(2), "worker": [0, 1, 0], "threshold": 2}
    return LinearCode(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"generator": np.ones(3)}, "generator of code 'parity' must have 2 dimensions, got 1"),
        ({"targets": np.ones(2)}, "targets of code 'parity' must have 2 dimensions, got 1"),
        ({"generator": G * np.nan}, "generator of code 'parity' must be finite"),
        ({"generator": [[1.0, 2.0], [3.0]]}, "generator of a code must be a matrix or vector of real numbers"),
        ({"generator": 1j * G}, "generator of a code must be a matrix or vector of real numbers"),
        ({"targets": [["1", "0"]]}, "targets of a code must be a matrix or vector of real numbers"),
        ({"worker": [0.0, 0.5, 1.0]}, "worker of a code must be a vector of ints"),
        ({"targets": np.eye(3)}, r"targets must have one column per unknown \(2\), got 3"),
        ({"worker": [0, 1]}, r"worker must hold one number per row \(3\), got \(2,\)"),
        ({"worker": [0, -1, 0]}, "workers are counted from 0"),
        ({"load": [1.0, 1.0]}, r"load must hold one number per row \(3\)"),
        ({"load": [1.0, 0.0, 1.0]}, "load must be positive and finite"),
        ({"load": [1.0, np.inf, 1.0]}, "load must be positive and finite"),
        ({"threshold": 1}, r"threshold must be an int in \[2, 3\], got 1"),
        ({"threshold": 4}, r"threshold must be an int in \[2, 3\], got 4"),
        ({"threshold": "2"}, r"threshold must be an int in \[2, 3\], got '2'"),
    ],
)
def test_contradictions_are_refused_with_a_sentence(changes, sentence):
    with pytest.raises(CodeError, match=sentence):
        code(**changes)


def test_a_code_is_frozen_and_keeps_no_hold_on_what_it_was_given():
    given = G.copy()
    mine = code(generator=given)
    given[:] = 7
    assert np.array_equal(mine.generator, G)
    with pytest.raises(ValueError, match="read-only"):
        mine.generator[0, 0] = 2
    with pytest.raises(AttributeError):
        mine.threshold = 1


def test_work_adds_up_along_each_worker():
    mine = code(load=[1.0, 2.0, 4.0])
    assert mine.work.tolist() == [1.0, 2.0, 5.0]
    assert (mine.rows, mine.unknowns, mine.workers) == (3, 2, 2)


def test_a_code_is_not_folded_onto_nobody():
    with pytest.raises(CodeError, match="at least one worker, got 0"):
        code().on_workers(0)


def test_folding_onto_fewer_workers_keeps_the_rest():
    folded = code(worker=[0, 1, 2]).on_workers(2)
    assert folded.worker.tolist() == [0, 1, 0]
    assert folded.threshold == 2
    assert code().on_workers(5).workers == 2


def test_decodable_says_whether_all_rows_together_are_enough():
    assert code().decodable
    assert not code(generator=G[[0, 0, 0]]).decodable
    assert code(generator=G[[2, 2, 2]], targets=np.ones((1, 2))).decodable


def test_column_size_does_not_hide_a_column_that_only_small_rows_cover():
    sizes = code(generator=[[1e12, 1e12], [0.0, 1e-12], [0.0, 0.0]], threshold=None).column_size
    assert np.allclose(sizes, [0.5**0.5, 1.0])
