"""What may be multiplied, over all of NumPy's types, byte orders, strides and empty shapes: right, or one sentence."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from products import excess

TAKEN = "fdFD"
REFUSED = "?bBhHiIlLqQeg" + "G" + "OSUVmM"


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


def numbers(char, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    real = rng.standard_normal((rows, columns)) * 3
    return (real + 1j * rng.standard_normal((rows, columns)) if char in "FDG" else real).astype(char)


def multiplied(pool, face, A, B):
    if face == "matmul":
        answer = kofn.matmul(A, B, workers=pool, rng=0)
        return answer.value, answer
    with kofn.operator(A, workers=pool, rng=0) as operator:
        return operator @ B, operator.answer


@pytest.mark.parametrize("face", ["matmul", "operator"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("second", TAKEN)
@pytest.mark.parametrize("first", TAKEN)
def test_floating_types_of_either_byte_order_are_multiplied(pool, face, first, second, order):
    A, B = numbers(first, 13, 5).astype(order + np.dtype(first).str[1:]), numbers(second, 5, 7, 1)
    value, answer = multiplied(pool, face, A, B)
    kind = np.result_type(np.dtype(first), np.dtype(second))
    assert answer.exact and value.dtype == kind
    assert excess(value, A.astype(first), B, answer.amplification, np.finfo(kind).eps) <= 1.0


HOLDS = "must hold float32, float64 or complex numbers, but got dtype"


@pytest.mark.parametrize("char", REFUSED)
def test_other_types_of_a_matrix_are_refused_by_name(pool, char):
    matrix = np.zeros((4, 4), char if char not in "SUV" else char + "4")
    for call in (
        lambda: kofn.matmul(matrix, np.eye(4), workers=pool, code="mds"),
        lambda: kofn.operator(matrix, workers=pool),
    ):
        with pytest.raises(kofn.ArgumentError, match=f"'A' {HOLDS}"):
            call()
    with pytest.raises(kofn.ArgumentError, match=f"'B' {HOLDS}"):
        kofn.matmul(np.eye(4), matrix, workers=pool, code="mds")


def locked(matrix):
    matrix = matrix.copy()
    matrix.flags.writeable = False
    return matrix


VIEWS = {
    "backwards": lambda M: M[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda M: np.repeat(np.repeat(M, 2, 0), 2, 1)[::2, ::2],
    "by columns": np.asfortranarray,
    "turned": lambda M: np.ascontiguousarray(M.T).T,
    "read-only": locked,
    "of one row": lambda M: np.broadcast_to(M[:1], M.shape),
    "of one column": lambda M: np.broadcast_to(M[:, :1], M.shape),
    "of one number": lambda M: np.broadcast_to(M[:1, :1], M.shape),
    "unaligned": lambda M: np.frombuffer(b"x" + M.tobytes(), np.uint8)[1:].view(M.dtype).reshape(M.shape),
    "part of records": lambda M: np.rec.fromarrays([M, M])["f0"],
}


@pytest.mark.parametrize("face", ["matmul", "operator"])
@pytest.mark.parametrize("char", TAKEN)
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_read_as_they_lie(pool, face, char, view):
    A, B = VIEWS[view](numbers(char, 13, 5)), VIEWS[view](numbers(char, 5, 6, 1))
    value, answer = multiplied(pool, face, A, B)
    assert answer.exact
    assert excess(value, A.copy(), B.copy(), answer.amplification, np.finfo(char).eps) <= 1.0


@pytest.mark.parametrize("code", sorted(kofn.schemes.PRODUCTS))
@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0), (1, 1, 1)])
def test_empty_and_single_shapes_have_the_products_of_numpy(pool, code, shape):
    m, k, n = shape
    for char in TAKEN:
        A, B = numbers(char, m, k), numbers(char, k, n)
        blocks = (1, 1) if shape == (1, 1, 1) else None
        answer = kofn.matmul(A, B, workers=pool, code=code, blocks=blocks, rng=0)
        assert answer.exact and answer.value.dtype == np.dtype(char) and answer.value.shape == (m, n)
        assert np.allclose(answer.value, A @ B, rtol=1e-5)


@pytest.mark.parametrize("call", [lambda A: kofn.matmul(A, A, workers=2), lambda A: kofn.operator(A, workers=2)])
def test_a_stack_of_matrices_is_told_what_helps(call):
    with pytest.raises(kofn.ArgumentError, match=r"'A' must have 2 dimensions.*multiply the matrices of a stack one"):
        call(np.ones((2, 3, 3)))
    with pytest.raises(kofn.ArgumentError, match=r"'A' must have 2 dimensions.*reshape it, as in A\[:, None\]"):
        call(np.ones(3))
