"""Ensembles of scikit-learn: coded predictions equal the library's."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import kofn
from kofn.sklearn import CodedEnsemble

DIGITS = load_digits(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
IRIS = load_iris(return_X_y=True)
TWO = (DIGITS[0][DIGITS[1] < 2], DIGITS[1][DIGITS[1] < 2])


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


@pytest.mark.parametrize("code", ["cyclic", "sum-recovery", "rep", "gradient"])
def test_a_forest_predicts_what_the_library_predicts(pool, code):
    X, y = DIGITS
    forest = RandomForestClassifier(30, random_state=0).fit(X[:800], y[:800])
    with CodedEnsemble(forest, workers=pool, code=code, rng=0) as coded:
        np.testing.assert_allclose(coded.predict_proba(X[800:]), forest.predict_proba(X[800:]), atol=1e-10)
        assert coded.answer.exact
        np.testing.assert_array_equal(coded.predict(X[800:]), forest.predict(X[800:]))


@pytest.mark.parametrize(
    ("ensemble", "data"),
    [
        (RandomForestRegressor(20, random_state=0), DIABETES),
        (ExtraTreesRegressor(20, random_state=0), DIABETES),
        (GradientBoostingRegressor(n_estimators=20, random_state=0), DIABETES),
        (GradientBoostingClassifier(n_estimators=20, random_state=0), IRIS),
        (GradientBoostingClassifier(n_estimators=20, random_state=0), TWO),
        (GradientBoostingClassifier(n_estimators=5, loss="exponential", random_state=0), TWO),
        (GradientBoostingClassifier(n_estimators=5, init="zero", random_state=0), IRIS),
        (GradientBoostingRegressor(n_estimators=20, loss="quantile", random_state=0), DIABETES),
        (GradientBoostingRegressor(n_estimators=20, loss="huber", subsample=0.5, random_state=0), DIABETES),
        (BaggingClassifier(n_estimators=9, max_features=2, random_state=0), IRIS),
        (BaggingClassifier(LogisticRegression(max_iter=500), n_estimators=5, random_state=0), TWO),
        (BaggingClassifier(LinearSVC(), n_estimators=5, max_samples=0.1, random_state=0), IRIS),
        (BaggingRegressor(n_estimators=7, max_features=0.5, bootstrap_features=True, random_state=0), DIABETES),
        (AdaBoostClassifier(n_estimators=12, random_state=0), IRIS),
        (AdaBoostClassifier(n_estimators=12, random_state=0), TWO),
        (AdaBoostClassifier(DecisionTreeClassifier(), n_estimators=5, random_state=0), TWO),
        (HistGradientBoostingClassifier(max_iter=7, random_state=0), IRIS),
        (HistGradientBoostingRegressor(max_iter=7, categorical_features=[1], random_state=0), DIABETES),
    ],
    ids=[
        "forest",
        "extra",
        "boosting",
        "classes",
        "pair",
        "exponential",
        "from zero",
        "quantile",
        "huber",
        "bags",
        "bags of models",
        "bags of votes",
        "bags of values",
        "votes",
        "votes of two",
        "perfect votes",
        "histograms",
        "histograms with categories",
    ],
)
def test_predictions_equal_the_librarys(pool, ensemble, data):
    X, y = data
    ensemble.fit(X, y)
    with CodedEnsemble(ensemble, workers=pool) as coded:
        wanted = ensemble.predict(X)
        np.testing.assert_allclose(coded.predict(X), wanted, rtol=1e-10)
        if hasattr(ensemble, "classes_"):
            np.testing.assert_allclose(coded.predict_proba(X), ensemble.predict_proba(X), atol=1e-10)


def test_classes_keep_their_names(pool):
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    forest = RandomForestClassifier(10, random_state=0).fit(X, names)
    with CodedEnsemble(forest, workers=pool) as coded:
        np.testing.assert_array_equal(coded.predict(X), forest.predict(X))


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
def test_scores_that_tie_between_two_classes_are_decided_as_the_library_does(pool, loss):
    X, y = np.repeat(np.arange(3.0)[:, None], 4, axis=0), np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1])
    boosted = GradientBoostingClassifier(n_estimators=7, loss=loss, random_state=0).fit(X, y)
    assert np.all(boosted.decision_function(X)[8:] == 0)
    with CodedEnsemble(boosted, workers=pool) as coded:
        np.testing.assert_array_equal(coded.predict(X), boosted.predict(X))


def test_what_it_cannot_do_is_said(pool):
    with pytest.raises(kofn.ArgumentError, match="random forest, extra trees, bagging or boosting"):
        CodedEnsemble(LogisticRegression(), workers=pool).fit(*IRIS)
    forest = RandomForestRegressor(5, random_state=0).fit(*DIABETES)
    with CodedEnsemble(forest, workers=pool) as coded, pytest.raises(AttributeError, match="'predict_proba'"):
        coded.predict_proba(DIABETES[0])
