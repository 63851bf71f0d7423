"""What f is given: at an output's own row the input itself, to the last bit; of an iterator what it yielded."""

from functools import partial

import numpy as np
import pytest

import kofn
from kofn.schemes import FUNCTIONS, lagrange

MORE = {"lagrange": {"degree": 1}}
SIZES = {
    "alike": [1.0, 2.0, 3.0, 4.0, 5.0],
    "one large": [1.0, -2.0, 1e16, 0.0, -0.0],
    "rising": [1e-16, 1e-8, 1.0, 1e8, 1e16],
    "ends": [5e-324, 1e300, -1e-300, 1e150, 3.0],
}


@pytest.mark.parametrize("rows", [5, 6, 9, 12, 40])
@pytest.mark.parametrize(
    ("kind", "sizes"),
    [(kind, sizes) for kind in ("f8", "f4", "c16") for sizes in SIZES if (kind, sizes) != ("f4", "ends")],
)
@pytest.mark.parametrize("code", sorted(FUNCTIONS))
def test_rows_that_are_outputs_are_given_the_input_itself(code, kind, sizes, rows):
    X = np.array([np.full(3, x) for x in SIZES[sizes]], kind)
    X[:, 1] = X[::-1, 1]
    more = {} if code == "uncoded" else {"rows": rows, **MORE.get(code, {})}
    made = FUNCTIONS[code](np.floor, X, workers=rows, **more)
    arguments, met = made.arguments.of_rows(), 0
    for row, result in enumerate(made.code.generator):
        for target in np.flatnonzero((made.code.targets == result).all(axis=1)):
            assert np.asarray(arguments[row][0]).tobytes() == X[target].tobytes()
            met += 1
    assert met >= (0 if code == "berrut" else len(X))


@pytest.mark.parametrize("f", [np.floor, np.negative, np.signbit])
@pytest.mark.parametrize("code", sorted({*FUNCTIONS} - {"berrut", "lagrange"}))
def test_functions_that_jump_are_exact_at_their_own_inputs(code, f):
    X = np.array(SIZES["alike"] + [1e16])
    more = {} if code == "uncoded" else {"rows": 12}
    if code in ("letcc", "kriging", "parity"):
        more["recover"] = 12
    with kofn.ThreadPool(6) as pool:
        answer = kofn.map(f, X, code=code, workers=pool, **more)
    assert answer.exact and np.array_equal(answer.value, f(X))


def stream(values):
    """One buffer, over and over."""
    buffer = np.zeros(2)
    for value in values:
        buffer[:] = value
        yield buffer


class Loader:
    """No iterator itself, and as sparing with memory."""

    def __iter__(self):
        return stream(range(6))


FACES = {
    "copies": kofn.map,
    "uncoded": partial(kofn.map, code="uncoded"),
    "lagrange": partial(kofn.map, degree=1, rows=6),
    "builder": partial(kofn.map, code=partial(lagrange, degree=1), rows=6),
    "kriging": partial(kofn.map, code="kriging", rows=12, recover=12),
}


@pytest.mark.parametrize("inputs", [lambda: stream(range(6)), Loader, lambda: map(np.asarray, stream(range(6)))])
@pytest.mark.parametrize("face", FACES)
def test_items_of_an_iterator_are_taken_when_they_come(face, inputs):
    with kofn.ThreadPool(6) as pool:
        answer = FACES[face](lambda x: 2 * x, inputs(), workers=pool)
        assert answer.exact and np.allclose(answer.value, [[2 * k] * 2 for k in range(6)])
        with kofn.CodedMap(lambda x: 2 * x, workers=pool, **getattr(FACES[face], "keywords", {})) as kept:
            assert np.allclose(kept(inputs()).value, answer.value)


def test_lists_of_ones_own_are_not_copied_by_a_blocking_call():
    X = [np.ones(2), np.zeros(2)]
    made = FUNCTIONS["repetition"](np.sum, X)
    assert made.arguments.of_rows()[0][0] is X[0]
