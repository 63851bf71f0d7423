"""Masked arrays, wherever they hide: NumPy takes off their masks without a word, kofn refuses what lay behind them.

Each case also runs with masks that hide nothing: what is complete is computed, and right.
"""

from collections import UserList, UserString, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import dask.array
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor

import kofn
from kofn import checks
from kofn.sklearn import CodedEnsemble

A = np.random.default_rng(0).standard_normal((6, 4))
B = np.random.default_rng(1).standard_normal((4, 6))


class Variable:
    """As netCDF4 has them: what becomes an array becomes a masked one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class Rows:
    """A sequence that says so nowhere."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


HIDING = {
    "rows": list,
    "a tuple": tuple,
    "a deque": deque,
    "a list of its own": UserList,
    "a sequence": Rows,
    "one row among lists": lambda m: [*(row.tolist() for row in m.data[:-1]), m[-1]],
    "one row among arrays": lambda m: [*m.data[:-1], m[-1]],
    "a variable": Variable,
    "variables": lambda m: [Variable(row) for row in m],
}


def masked(values, hide):
    """The values with the last row's first number masked, or with a mask that hides nothing."""
    mask = np.zeros(values.shape, bool)
    mask.reshape(len(mask), -1)[-1, 0] = hide
    return np.ma.masked_array(values, mask)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


def product(A, B, pool):
    return kofn.matmul(A, B, workers=pool).value


def operator(A, pool, use):
    with kofn.operator(A, workers=pool, rng=0) as made:
        return use(made)


def fitted_ensemble(kind, y):
    return kind(n_estimators=3, random_state=0).fit(A, y)


FOREST = fitted_ensemble(RandomForestRegressor, A[:, 0])
BOOSTED = fitted_ensemble(GradientBoostingClassifier, A[:, 0] > 0)

ARGUMENTS = {
    "matmul, A": lambda hidden, pool: (product(hidden(A), B, pool), A @ B),
    "matmul, B": lambda hidden, pool: (product(A, hidden(B), pool), A @ B),
    "start": lambda hidden, pool: (
        kofn.start(kofn.schemes.mds(hidden(A), B, workers=3), workers=pool).result().value,
        A @ B,
    ),
    "operator": lambda hidden, pool: (operator(hidden(A), pool, lambda op: op @ B), A @ B),
    "operator @ X": lambda hidden, pool: (operator(A, pool, lambda op: op @ hidden(B)), A @ B),
    "operator.matmat": lambda hidden, pool: (operator(A, pool, lambda op: op.matmat(hidden(B))), A @ B),
    "operator.product": lambda hidden, pool: (operator(A, pool, lambda op: op.product(hidden(B)).value), A @ B),
    "operator.rmatmat": lambda hidden, pool: (operator(B, pool, lambda op: op.rmatmat(hidden(B))), B.T @ B),
    "operator.H": lambda hidden, pool: (operator(B, pool, lambda op: op.H @ hidden(B)), B.T @ B),
    "operator.T": lambda hidden, pool: (operator(B, pool, lambda op: op.T.matmat(hidden(B))), B.T @ B),
    "twice an operator": lambda hidden, pool: (operator(A, pool, lambda op: (2 * op) @ hidden(B)), 2 * A @ B),
    "operators added": lambda hidden, pool: (operator(A, pool, lambda op: (op + op / 2 - op) @ hidden(B)), A @ B / 2),
    "operators multiplied": lambda hidden, pool: (operator(A, pool, lambda op: (op.T @ op) @ hidden(B)), A.T @ A @ B),
    "operator and another": lambda hidden, pool: (
        operator(A, pool, lambda op: (op @ aslinearoperator(A.T)) @ hidden(A)), A @ A.T @ A,
    ),
    "map": lambda hidden, pool: (kofn.map(np.square, hidden(A), workers=pool, degree=2, rows=12).value, A**2),
    "fitted": lambda hidden, pool: (FITTED.evaluations(hidden(A[:2]), workers=3, rng=0).enough, 2),
}  # fmt: skip

FITTED = kofn.fit(np.sin, lambda rng: rng.standard_normal(4), inputs=2, recover=2, workers=3, samples=16, rng=0)

RESULTS = {
    "map": lambda hidden, pool: (kofn.map(lambda x: hidden(x * A), [1.0, 2.0], workers=pool, degree=1).value[1], 2 * A),
    "sum": lambda hidden, pool: (kofn.sum([np.sin, lambda x: hidden(x)], A, workers=pool).value, np.sin(A) + A),
    "sum over indices": lambda hidden, pool: (
        kofn.sum(lambda indices, x: hidden(np.outer(indices, x)), np.ones(3), count=4, workers=pool).value,
        np.full(3, 6.0),
    ),
    "a task": lambda hidden, pool: (of_tasks(hidden, pool), 2 * A),
}  # fmt: skip


def of_tasks(hidden, pool):
    code = kofn.LinearCode("one", [[1.0]], [[1.0]], worker=[0])
    scheme = kofn.schemes.CustomScheme(code, [kofn.Task(lambda x: hidden(2 * x), (A,))])
    return kofn.run(scheme, workers=pool).value


def require_refused_or_right(face, hide, pool):
    value, right = face(lambda values: hide(masked(values, False)), pool)
    np.testing.assert_allclose(value, right, rtol=1e-9, atol=1e-9)
    with pytest.raises(kofn.KofnError, match="mask"):
        face(lambda values: hide(masked(values, True)), pool)


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("face", ARGUMENTS.values(), ids=ARGUMENTS)
def test_what_is_given(pool, face, hide):
    require_refused_or_right(face, hide, pool)


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("face", RESULTS.values(), ids=RESULTS)
def test_what_comes_back(pool, face, hide):
    require_refused_or_right(face, hide, pool)


@pytest.mark.parametrize("hide", [np.asanyarray, list, tuple, deque], ids=["itself", "rows", "a tuple", "a deque"])
@pytest.mark.parametrize("ensemble", [FOREST, BOOSTED], ids=["forest", "boosted"])
def test_what_is_predicted(pool, ensemble, hide):
    # scikit-learn itself would predict from what lies under the mask.
    def predicted(hidden, pool):
        with CodedEnsemble(ensemble, workers=pool) as coded:
            return coded.predict(hidden(A)), ensemble.predict(A)

    require_refused_or_right(predicted, hide, pool)


def from_dask(values, pool):
    # Its chunks are said to be plain arrays.
    array = dask.array.from_array(values.data, chunks=3).map_blocks(
        lambda block, block_info=None: masked_like(block, values), meta=np.empty((0, 0))
    )
    return kofn.matmul(array, np.eye(values.shape[1]), workers=pool).value


def masked_like(block, values):
    return np.ma.masked_array(block, np.isin(block, values.data[values.mask]))


@pytest.mark.parametrize(
    "made",
    [
        lambda values, pool: kofn.LinearCode("code", values, np.eye(4), worker=np.arange(6)).generator,
        lambda values, pool: kofn.LinearCode("code", list(values), np.eye(4), worker=np.arange(6)).generator,
        lambda values, pool: kofn.Prior(list(values)).factor,
        from_dask,
    ],
    ids=["a code", "a code of rows", "a prior", "chunks"],
)
def test_what_others_are_made_of(pool, made):
    np.testing.assert_allclose(made(masked(A, False), pool), A, rtol=1e-9)
    with pytest.raises(kofn.KofnError, match="mask"):
        made(masked(A, True), pool)


def test_weights_and_energies():
    hidden = masked(np.array([0.4, 0.35, 0.25]), True)
    for probabilities in (hidden, [hidden[:1], hidden[1:2], hidden[2:]]):
        with pytest.raises(kofn.ArgumentError, match="must hold numbers >= 0"):
            checks.probabilities("f", "gamma", probabilities)
    for energies in (hidden, tuple(hidden)):
        with (
            pytest.raises(kofn.ArgumentError, match="'energies' must be 3 numbers"),
            pytest.warns() if energies is not hidden else nullcontext(),
        ):
            kofn.sum([abs] * 3, 1.0, energies=energies, workers=1)


@pytest.mark.parametrize("hide", [list, deque, Variable])
def test_what_is_fitted_to(hide):
    def fit(f, sampler):
        kofn.fit(f, sampler, inputs=1, recover=1, workers=2, samples=16, rng=0)

    fit(np.sin, lambda rng: hide(masked(A, False)))
    with pytest.raises(kofn.ArgumentError, match=r"'sampler' must return .*, but got masked numbers"):
        fit(np.sin, lambda rng: hide(masked(A, True)))
    with pytest.raises(kofn.ArgumentError, match=r"'f' must return .*, but got masked numbers"):
        fit(lambda x: hide(masked(x, True)), lambda rng: A)


def test_the_term_is_named_that_hides_something(pool):
    def terms(indices, x):
        return deque(masked(np.ones((1, 2)), index == 2) for index in indices)

    with pytest.raises(kofn.TermError, match="term 2 returned a masked array") as caught:
        kofn.sum(terms, count=4, workers=pool)
    assert caught.value.term == 2


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("engine", ["threads", "processes", "executors", "stragglers"])
def test_masks_of_what_terms_are_given_stay_on(engine, size):
    """A sum hands on any object; its terms see the mask."""
    x = masked(np.ones(size), True)
    executors = [ThreadPoolExecutor(1) for _ in range(2)]
    team = {
        "threads": lambda: kofn.ThreadPool(2),
        "processes": lambda: kofn.LocalPool(2),
        "executors": lambda: kofn.ExecutorPool(executors),
        "stragglers": lambda: kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)),
    }[engine]()
    with team as pool:
        assert kofn.sum([np.sum, lambda x: x.mask.sum(), len], x, workers=pool).value == (size - 1) + 1 + size
        seen = kofn.sum([lambda given: given["rows"][1].sum()], {"rows": [1.0, x]}, workers=pool)
        assert seen.value == size - 1
    for executor in executors:
        executor.shutdown()


def test_masks_stay_on_where_inputs_are_not_mixed(pool):
    for hide in (np.asanyarray, list, deque):
        value = kofn.map(np.abs, hide(masked(A, True)), workers=pool, code="repetition", rows=6).value
        assert [row.tolist() for row in value] == abs(masked(A, True)).tolist()


def test_frames_are_rows_and_not_the_names_of_columns(pool):
    frame = pd.DataFrame(A, columns=range(4))
    np.testing.assert_allclose(kofn.map(np.square, frame, workers=pool, degree=2, rows=12).value, A**2, atol=1e-9)
    np.testing.assert_allclose(kofn.matmul(frame, B, workers=pool).value, A @ B)
    with pytest.raises(kofn.ArgumentError, match="'inputs' must be at least one array of numbers, but got object"):
        kofn.map(np.square, frame.assign(name="x"), workers=pool, degree=2)


@pytest.mark.parametrize("inputs", [{1.0: "a", 2.0: "b"}, {1.0, 2.0}, frozenset([1.0])], ids=["dict", "set", "frozen"])
def test_what_has_no_order_of_values_is_no_sequence_of_inputs(pool, inputs):
    with pytest.raises(kofn.ArgumentError, match="'inputs' must be a sequence of arrays"):
        kofn.map(np.square, inputs, workers=pool, degree=2)


def test_looking_for_masks_ends():
    endless = []
    endless.append(endless)
    for harmless in (endless, UserString("ab"), [UserString("ab")], [{}], [csr_array(A)], [[]], range(3), None, b"ab"):
        assert not checks.masked(harmless)
