"""The conformance battery over every product scheme, every shape, type and layout; and over broken schemes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kofn.codes._linear import LinearCode
from kofn.codes._prior import Prior
from kofn.schemes import PRODUCTS, Scheme, mds, repetition, uncoded
from kofn.testing._schemes import check_scheme, results_of, unknowns_of
from oracles import chebyshev_coefficients, gaussian, power_coefficients, sine_coefficients
from processes import crossed

SHAPES = [(12, 8, 12), (13, 7, 11), (1, 5, 1), (9, 1, 9), (17, 9, 1), (1, 30, 17)]
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda matrix: np.repeat(np.repeat(matrix, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda matrix: matrix[::-1, ::-1].copy()[::-1, ::-1],
}


def conforms(name, A, B, **layout):
    scheme = PRODUCTS[name](A, B, rng=3, **layout)
    answer = A.astype(np.result_type(A, np.float64)) @ B
    if name == "matdot":
        unknowns = chebyshev_coefficients(A, B, (scheme.code.unknowns + 1) // 2)
    elif name == "matdot-approximate":
        unknowns = power_coefficients(A, B, (scheme.code.unknowns + 1) // 2)
    elif name == "entangled-polynomial":
        grid, parts = scheme.grid, scheme.left.blocks.inner.count
        raised = [1.0 if spans.exponents is None else 2.0**spans.exponents for spans in (grid.rows, grid.columns)]
        given = (A.T * raised[0]).T, B * raised[1]  # in the units in which blocks are combined
        unknowns = sine_coefficients(*given, grid.rows.count, grid.columns.count, parts)
    else:
        unknowns = unknowns_of(scheme, answer)
    check_scheme(scheme, answer, unknowns, scale=np.linalg.norm(A) * np.linalg.norm(B), subsets=12)


@pytest.mark.parametrize(("name", "dtype"), crossed(PRODUCTS, ["float32", "float64", "complex64", "complex128"]))
def test_every_scheme_conforms(name, dtype):
    rng = np.random.default_rng(1)
    for (rows, inner, columns), layout in zip(SHAPES, list(LAYOUTS.values()) * 2, strict=False):
        A, B = layout(gaussian((rows, inner), dtype, rng)), layout(gaussian((inner, columns), dtype, rng))
        conforms(name, A, B, rows=9)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
@pytest.mark.parametrize("name", PRODUCTS)
def test_every_layout_conforms(name, layout):
    rng = np.random.default_rng(2)
    A, B = rng.standard_normal((12, 8)), rng.standard_normal((8, 12))
    before = A.copy(), B.copy()
    conforms(name, layout(A), layout(B), rows=7, workers=4)
    assert np.array_equal(A, before[0])
    assert np.array_equal(B, before[1])


@pytest.mark.parametrize("name", PRODUCTS)
def test_one_row_is_enough_for_a_code(name):
    conforms(name, np.full((1, 1), 2.0), np.full((1, 1), 3.0), rows=1)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("shape", [(0, 3, 4), (4, 3, 0), (3, 0, 4), (0, 0, 0)])
def test_empty_matrices_have_empty_or_zero_products(name, shape):
    conforms(name, np.ones(shape[:2]), np.ones(shape[1:]), rows=3)


@pytest.mark.parametrize("name", PRODUCTS)
def test_zero_matrices_are_exact_and_expect_nothing(name):
    conforms(name, np.zeros((6, 5)), np.ones((5, 6)), rows=6)


def test_polynomial_and_kronecker_cut_both_factors_unevenly():
    rng = np.random.default_rng(4)
    A, B = rng.standard_normal((11, 6)), rng.standard_normal((6, 10))
    for name in ("uncoded", "repetition", "polynomial", "kronecker", "entangled-polynomial"):
        conforms(name, A, B, blocks=(2, 3), rows=18, workers=5)


def test_unknowns_are_the_block_products():
    A, B = np.arange(15.0).reshape(5, 3), np.arange(12.0).reshape(3, 4)
    unknowns = unknowns_of(uncoded(A, B, blocks=(2, 2)), A @ B)
    assert np.array_equal(unknowns[0], A[:3] @ B[:, :2])
    assert np.array_equal(unknowns[3][:2], A[3:] @ B[:, 2:])
    assert not unknowns[3][2].any()


# What the battery must catch, one broken promise at a time.

A = np.random.default_rng(5).standard_normal((6, 4))
B = np.random.default_rng(6).standard_normal((4, 6))
GOOD = mds(A, B, blocks=(3, 1), rows=5, rng=0)


def code_like(code, **changes):
    parts = {
        "generator": code.generator,
        "targets": code.targets,
        "load": code.load,
        "threshold": code.threshold,
    }
    parts |= changes
    return LinearCode(code.name, parts["generator"], parts["targets"], code.worker, parts["load"], parts["threshold"])


def wrong_row(allocate):
    tasks = list(GOOD.encoding().encode(allocate))
    return [tasks[1], tasks[0], *tasks[2:]]


class Altered(Scheme):
    """A good scheme whose encoding does something else, or says another size."""

    code, layout, prior, taken = GOOD.code, GOOD.layout, GOOD.prior, GOOD.taken

    def __init__(self, encode=None, nbytes=None):
        encoding = GOOD.encoding()
        size = encoding.nbytes if nbytes is None else nbytes
        self._encoding = SimpleNamespace(encode=encode or encoding.encode, nbytes=size)

    def encoding(self):
        return self._encoding


def halved(allocate):
    first, *others = GOOD.encoding().encode(allocate)
    return [first, *(replace(task, function=lambda a, b: (a @ b)[:1]) for task in others)]


BROKEN = {
    "nbytes says": Altered(nbytes=GOOD.encoding().nbytes + 8),
    "one task per row": Altered(lambda allocate: GOOD.encoding().encode(allocate)[:-1]),
    "one shape and type": Altered(halved),
    "result of row 0 is not": Altered(wrong_row),
    "threshold 2 says so": replace(GOOD, code=code_like(GOOD.code, targets=np.eye(3)[:2], threshold=2)),
    "do not recover the targets": replace(GOOD, code=code_like(GOOD.code, generator=GOOD.code.generator[[0] * 5])),
    "energy that the prior expects": replace(GOOD, expected=Prior.independent([1e6, 1e6, 1e6])),
}  # fmt: skip


@pytest.mark.parametrize("sentence", BROKEN)
def test_the_battery_catches(sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_scheme(BROKEN[sentence], A @ B, unknowns_of(GOOD, A @ B), subsets=20)


def test_the_battery_sees_wrong_rows_without_being_told_the_unknowns():
    with pytest.raises(AssertionError, match="not the row of the generator"):
        check_scheme(Altered(wrong_row), A @ B)


def test_the_battery_catches_a_threshold_that_is_not_tight():
    scheme = repetition(A, B, blocks=(2, 1), rows=6, rng=0)  # 3 copies each: any 4 of 6
    loose = replace(scheme, code=code_like(scheme.code, threshold=5))
    with pytest.raises(AssertionError, match="any 4 rows recover"):
        check_scheme(loose, A @ B)


def test_the_battery_catches_what_encode_leaves_unwritten():
    def forgetful(allocate):
        tasks = GOOD.encoding().encode(np.empty)
        return [replace(task, arguments=(allocate(task.arguments[0].shape, float), task.arguments[1]))
                for task in tasks]  # fmt: skip

    size = sum(task.arguments[0].nbytes for task in GOOD.encoding().encode(np.empty))
    broken = Altered(forgetful, size)
    with pytest.raises(AssertionError, match="result of row 0"):
        check_scheme(broken, A @ B, unknowns_of(GOOD, A @ B))


def test_results_are_in_the_order_of_the_rows():
    results = results_of(uncoded(A, B, blocks=(3, 1)))
    assert np.allclose(np.concatenate(results), A @ B, rtol=0, atol=1e-14)
