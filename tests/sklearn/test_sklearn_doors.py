"""What a coded ensemble is given goes in by the library's own door: the same answers, exceptions and warnings."""

import warnings
from itertools import cycle, product

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csc_matrix, csr_array, csr_matrix
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression

import kofn
from kofn.sklearn import CodedEnsemble

METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
NAMES = ["length", "width", "height", "weight"]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4)).round(2)
VALUES = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(60)
THREE = np.array(["a", "b", "c"])[np.digitize(VALUES, [-1, 1])]
TWO = np.array(["no", "yes"])[(VALUES > 0).astype(int)]
BOTH = np.stack([np.digitize(VALUES, [-1, 1]), VALUES > 0], axis=1).astype(int)

ENSEMBLES = {
    "forest of classes": (RandomForestClassifier, {}, THREE),
    "forest of two outputs": (RandomForestClassifier, {"n_jobs": 2}, BOTH),
    "forest of values": (RandomForestRegressor, {}, VALUES),
    "forest of rows": (RandomForestRegressor, {}, np.stack([VALUES, -VALUES, X[:, 3]], axis=1)),
    "extra trees of classes": (ExtraTreesClassifier, {"bootstrap": True, "max_samples": 5}, THREE),
    "extra trees of values": (ExtraTreesRegressor, {"criterion": "absolute_error"}, VALUES),
    "forest that must rise": (RandomForestRegressor, {"monotonic_cst": [1, 0, 0, 0]}, VALUES),
    "boosted classes": (GradientBoostingClassifier, {}, THREE),
    "boosted pair": (GradientBoostingClassifier, {"loss": "exponential"}, TWO),
    "boosted pair after a model": (GradientBoostingClassifier, {"init": DummyClassifier(strategy="uniform")}, TWO),
    "boosted values": (GradientBoostingRegressor, {"loss": "huber"}, VALUES),
    "boosted values after a model": (GradientBoostingRegressor, {"init": LinearRegression()}, VALUES),
    "bagged classes": (BaggingClassifier, {"max_features": 3}, THREE),
    "votes with weights": (AdaBoostClassifier, {}, THREE),
    "histograms": (HistGradientBoostingRegressor, {"n_estimators": None, "max_iter": 3}, VALUES),
    "boosted from zero": (GradientBoostingRegressor, {"init": "zero"}, VALUES),
}


def fitted(name, inputs=X, **options):
    kind, arguments, y = ENSEMBLES[name]
    given = {"n_estimators": 5, "random_state": 0} | arguments | options
    given = {name: value for name, value in given.items() if value is not None}
    return kind(**given).fit(inputs, y)


def changed(row, column, value):
    array = X.copy()
    array[row, column] = value
    return array


def wide_indices():
    sparse = csr_matrix(X)
    sparse.indices, sparse.indptr = sparse.indices.astype(np.int64), sparse.indptr.astype(np.int64)
    return sparse


FRAME = pd.DataFrame(X, columns=NAMES)
ARRAYS = {
    "float64": X,
    "float32": X.astype(np.float32),
    "integers": np.round(10 * X).astype(int),
    "booleans": X > 0,
    "by columns": np.asfortranarray(X),
    "every other row": X[::2],
    "backwards": X[::-1, ::-1],
    "read-only": np.broadcast_to(X[0], (3, 4)),
    "a list": X.tolist(),
    "a tuple of arrays": tuple(X[:3]),
    "objects": X.astype(object),
    "strings of numbers": X.astype(str),
    "words": [["a", "b", "c", "d"]],
    "missing": changed(3, 1, np.nan),
    "infinite": changed(3, 1, np.inf),
    "beyond float32": changed(3, 1, 1e200),
    "complex": X + 1j,
    "one feature too many": np.hstack([X, X[:, :1]]),
    "one feature too few": X[:, :3],
    "one sample alone": X[0],
    "a stack": X[None],
    "a number": 3.0,
    "nothing": None,
    "no samples": X[:0],
    "no features": X[:, :0],
    "ragged": [[1.0, 2.0, 3.0, 4.0], [1.0]],
    "sparse rows": csr_matrix(X),
    "a sparse array": csr_array(X),
    "sparse columns": csc_matrix(X),
    "sparse coordinates": coo_array(X),
    "sparse with wide indices": wide_indices(),
    "sparse with a gap": csr_matrix(changed(3, 1, np.nan)),
    "names where there were none": FRAME,
}
FRAMES = {
    "the same columns": FRAME,
    "reordered": FRAME[NAMES[::-1]],
    "one missing": FRAME[NAMES[:3]],
    "one more": FRAME.assign(age=1.0),
    "renamed": FRAME.rename(columns={"width": "breadth"}),
    "numbered": FRAME.rename(columns=dict(zip(NAMES, range(4), strict=True))),
    "names of two kinds": FRAME.rename(columns={"width": 1}),
    "no names": X,
    "a column of words": FRAME.assign(width="wide"),
    "a column of integers": FRAME.assign(width=1),
    "nullable numbers": FRAME.convert_dtypes(),
    "nullable, one missing": FRAME.convert_dtypes().replace({"width": {FRAME["width"][0]: pd.NA}}),
    "a series": FRAME["width"],
    "another index": FRAME.set_index(np.arange(60)[::-1]),
    "sparse columns": FRAME.astype(pd.SparseDtype(float)),
}


GIVEN = (("divide by zero", "log"), ("overflow", "cast"))


def outcome(predict, *given):
    """What a call gives: its value or exception, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = predict(*given), None
        except Exception as raised:
            value, error = None, raised
    return value, error, {(warning.category.__name__, str(warning.message)) for warning in caught}


def of_members(ensemble):
    """Warnings that members give, which are at the workers, and of logarithms: here it is that of the average."""
    if not isinstance(ensemble, BaggingClassifier | AdaBoostClassifier):
        return set()
    return {("RuntimeWarning", f"{what} encountered in {where}") for what, where in GIVEN}


def require_same(coded, ensemble, method, inputs):
    right, expected, warned = outcome(getattr(ensemble, method), inputs)
    value, error, said = outcome(getattr(coded, method), inputs)
    assert (type(error), str(error)) == (type(expected), str(expected))
    assert said - of_members(ensemble) == warned - of_members(ensemble)
    if expected is None:
        assert coded.answer.exact
        require_equal(value, right)


def require_equal(value, right):
    if isinstance(right, list):
        assert isinstance(value, list) and len(value) == len(right)
        for one, other in zip(value, right, strict=True):
            require_equal(one, other)
        return
    assert (value.shape, value.dtype) == (right.shape, right.dtype)
    if right.dtype.kind == "f":
        np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_array_equal(value, right)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


def methods_of(ensemble):
    return [method for method in METHODS if hasattr(ensemble, method)]


def require_same_in_turn(coded, ensemble, table):
    for inputs, method in zip(table.values(), cycle(methods_of(ensemble))):
        require_same(coded, ensemble, method, inputs)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_arrays_are_taken_as_the_library_takes_them(pool, name):
    ensemble = fitted(name)
    with CodedEnsemble(ensemble, workers=pool) as coded:
        assert methods_of(coded) == methods_of(ensemble)
        require_same_in_turn(coded, ensemble, ARRAYS)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_columns_are_known_by_their_names(pool, name):
    ensemble = fitted(name, FRAME)
    with CodedEnsemble(ensemble, workers=pool) as coded:
        assert coded.feature_names_in_.tolist() == NAMES
        require_same_in_turn(coded, ensemble, FRAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENSEMBLES)
def test_so_it_is_with_every_method_and_in_processes(name):
    with kofn.LocalPool(2) as processes:
        for inputs_of_fit, table in ((X, ARRAYS), (FRAME, FRAMES)):
            ensemble = fitted(name, inputs_of_fit)
            with CodedEnsemble(ensemble, workers=processes) as coded:
                for method, inputs in product(methods_of(ensemble), table.values()):
                    require_same(coded, ensemble, method, inputs)
