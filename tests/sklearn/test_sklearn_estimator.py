"""A coded ensemble is an estimator of scikit-learn: its own checks, searches, pipelines, routing, copies."""

import copy
import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

import kofn
import sklearn
from kofn.sklearn import CodedEnsemble
from processes import until

X, Y = load_iris(return_X_y=True)
FRAME = load_iris(as_frame=True).data
WEIGHTS = np.linspace(0.0, 1.0, len(X))

WEIGHTED = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "weights change what is drawn, so that they are no repetitions; the library's own ensemble fails it, too",
)
"""What `sklearn.utils.estimator_checks` finds in these ensembles themselves."""

EXCEPTIONS = {
    RandomForestClassifier: WEIGHTED,
    RandomForestRegressor: WEIGHTED,
    ExtraTreesClassifier: WEIGHTED,
    ExtraTreesRegressor: WEIGHTED,
    BaggingClassifier: WEIGHTED,
    BaggingRegressor: WEIGHTED,
    AdaBoostClassifier: {},
    GradientBoostingClassifier: WEIGHTED,
    GradientBoostingRegressor: WEIGHTED,
    HistGradientBoostingClassifier: {},
    HistGradientBoostingRegressor: {},
}


def small(kind, size=5):
    ensemble = kind()
    given = {"n_estimators": size, "max_iter": size, "random_state": 0}
    return ensemble.set_params(**{name: value for name, value in given.items() if name in ensemble.get_params()})


def failing(estimator):
    """The checks of the library that an estimator fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes = check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(outcomes) > 40
    return {outcome["check_name"]: outcome["exception"] for outcome in outcomes if outcome["status"] == "failed"}


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(2) as threads:
        yield threads


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_the_librarys_checks_hold(kind):
    failed = failing(CodedEnsemble(small(kind), workers="threads:2"))
    assert failed.keys() <= EXCEPTIONS[kind].keys(), failed
    assert failed.keys() <= failing(small(kind)).keys()


def test_the_librarys_checks_hold_for_one():
    assert not failing(CodedEnsemble(small(HistGradientBoostingClassifier, 1), workers="threads:2"))


def test_fit_fits_a_clone(pool):
    forest = small(RandomForestClassifier)
    with CodedEnsemble(forest, workers=pool) as coded:
        with pytest.raises(NotFittedError):
            coded.predict(X)
        assert coded.fit(X, Y) is coded and coded.estimator is forest and not hasattr(forest, "estimators_")
        np.testing.assert_allclose(coded.predict_proba(X), clone(forest).fit(X, Y).predict_proba(X), rtol=1e-12)
        assert coded.answer.exact and coded.classes_.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(coded.feature_importances_, coded.estimator_.feature_importances_)
        before = coded.estimator_
        coded.fit(X[:100], Y[:100])
        assert coded.estimator_ is not before and coded.classes_.tolist() == [0, 1] and not hasattr(coded, "answer")
        assert coded.predict_proba(X).shape == (150, 2)


def test_what_is_fitted_is_used_as_it_is_and_cloned_without_its_fit(pool):
    forest = small(RandomForestClassifier).fit(X[:100], Y[:100])
    with CodedEnsemble(forest, workers=pool) as coded:
        assert coded.estimator is forest and coded.estimator_ is not forest
        assert coded.classes_.tolist() == [0, 1]
        other = clone(coded)
        assert other.workers is pool and not hasattr(other, "estimator_")
        assert other.fit(X, Y).classes_.tolist() == [0, 1, 2] and coded.classes_.tolist() == [0, 1]
        assert coded.fit(X, Y).classes_.tolist() == [0, 1, 2]


def test_what_is_frozen_stays(pool):
    forest = small(RandomForestClassifier).fit(X[:100], Y[:100])
    with CodedEnsemble(FrozenEstimator(forest), workers=pool) as coded:
        for one in (coded, clone(coded), clone(coded).fit(X, Y)):
            np.testing.assert_allclose(one.predict_proba(X), forest.predict_proba(X), rtol=1e-12)
            assert is_classifier(one)


def test_parameters_can_be_read_and_set(pool):
    coded = CodedEnsemble(small(RandomForestRegressor), workers=pool, tolerance=0.5)
    parameters = coded.get_params()
    assert (parameters["tolerance"], parameters["deadline"], parameters["estimator__n_estimators"]) == (0.5, None, 5)
    assert "estimator__n_estimators" not in coded.get_params(deep=False)
    coded.set_params(tolerance=None, estimator__n_estimators=3, code="uncoded").fit(X, Y)
    assert len(coded.estimator_.estimators_) == 3
    with coded:
        coded.predict(X)
        assert coded.answer.exact and coded.answer.report.code == "uncoded"
    assert repr(CodedEnsemble(small(RandomForestRegressor))).startswith(
        "CodedEnsemble(estimator=RandomForestRegressor("
    )


def test_what_is_set_holds_for_the_next_prediction(pool):
    with CodedEnsemble(small(RandomForestRegressor, 8), workers=pool, code="uncoded").fit(X, Y) as coded:
        coded.set_params(stop=kofn.Count(1)).predict(X)
        assert not coded.answer.exact and coded.answer.error > 0
        coded.set_params(stop=None, code="cyclic").predict(X)
        assert coded.answer.exact and coded.answer.report.code == "cyclic"
        coded.set_params(options=kofn.Options(stop=kofn.Count(1)))
        coded.predict(X)
        assert not coded.answer.exact
        coded.set_params(options=None, deadline=-1.0)
        with pytest.raises(kofn.ArgumentError, match="CodedEnsemble: 'deadline'"):
            coded.predict(X)


def test_what_could_not_predict_is_refused_before_anything_is_fitted(pool):
    class Unwilling(RandomForestClassifier):
        def fit(self, *_):
            raise AssertionError("it was fitted")

    for wrong in ({"code": "nope"}, {"workers": "all"}, {"deadline": -1.0}, {"options": 3}, {"redundancy": 2}):
        coded = CodedEnsemble(small(RandomForestClassifier), **{"workers": pool} | wrong)
        coded.estimator.n_estimators = "never looked at"
        with pytest.raises(kofn.ArgumentError, match=f"^kofn.sklearn.CodedEnsemble: '{next(iter(wrong))}'"):
            coded.fit(X, Y)
    with pytest.raises(kofn.ArgumentError, match=r"must be exactly .*, but got a Unwilling"):
        CodedEnsemble(small(Unwilling), workers=pool).fit(X, Y)
    with pytest.raises(kofn.ArgumentError, match="'X' must be without masked numbers"):
        CodedEnsemble(small(RandomForestClassifier), workers=pool).fit(np.ma.masked_greater(X, 7), Y)


def test_redundancy_takes_the_place_of_the_default_code_and_of_no_other(pool):
    with CodedEnsemble(small(RandomForestClassifier), workers=pool, redundancy=1) as coded:
        np.testing.assert_array_equal(coded.fit(X, Y).predict(X), coded.estimator_.predict(X))
        assert coded.answer.exact
    coded = CodedEnsemble(small(RandomForestClassifier), workers=pool, redundancy=1, code="rep")
    coded.estimator.n_estimators = "never looked at"
    with pytest.raises(kofn.ArgumentError, match=r"^kofn\.sklearn\.CodedEnsemble: 'redundancy' must say alone"):
        coded.fit(X, Y)


def test_one_that_is_fitted_again_forgets_what_it_had(pool):
    coded = CodedEnsemble(small(RandomForestClassifier), workers=pool)
    tree = weakref.ref(coded.fit(X, Y).estimator_.estimators_[0])
    coded.predict(X)
    coded.fit(X, Y)
    until(lambda: gc.collect() >= 0 and tree() is None)  # a thread that is late may have it yet


def test_searches_scores_pipelines_and_selection_take_it(pool):
    coded, plain = CodedEnsemble(small(ExtraTreesClassifier), workers=pool), small(ExtraTreesClassifier)
    np.testing.assert_array_equal(cross_val_score(coded, X, Y, cv=3), cross_val_score(plain, X, Y, cv=3))
    ours = GridSearchCV(coded, {"estimator__max_depth": [1, 2], "code": ["uncoded", "cyclic"]}, cv=2).fit(X, Y)
    theirs = GridSearchCV(plain, {"max_depth": [1, 2]}, cv=2).fit(X, Y)
    assert ours.best_params_["estimator__max_depth"] == theirs.best_params_["max_depth"]
    assert ours.best_score_ == theirs.best_score_
    assert isinstance(ours.best_estimator_, CodedEnsemble)
    np.testing.assert_array_equal(RFE(coded, step=2).fit(X, Y).support_, RFE(plain, step=2).fit(X, Y).support_)
    piped = make_pipeline(StandardScaler(), coded).set_output(transform="pandas").fit(FRAME, Y)
    assert piped[-1].feature_names_in_.tolist() == FRAME.columns.tolist() and piped[-1].n_features_in_ == 4
    with pytest.warns(UserWarning, match="X does not have valid feature names, but"):
        piped[-1].predict(X)
    assert not hasattr(coded, "set_output") and not hasattr(plain, "set_output")  # there is nothing to transform


def test_it_is_what_its_ensemble_is(pool):
    for kind in EXCEPTIONS:
        coded, plain = CodedEnsemble(small(kind), workers=pool), small(kind)
        assert (is_classifier(coded), is_regressor(coded)) == (is_classifier(plain), is_regressor(plain))
        assert get_tags(coded) == get_tags(plain)
        assert [hasattr(coded, name) for name in ("predict_proba", "decision_function")] == [
            hasattr(plain, "predict_proba"), hasattr(plain, "decision_function") and kind is not BaggingClassifier
        ]  # fmt: skip


def test_weights_go_to_the_ensemble(pool):
    right = small(RandomForestClassifier).fit(X, Y, sample_weight=WEIGHTS)
    with CodedEnsemble(small(RandomForestClassifier), workers=pool).fit(X, Y, sample_weight=WEIGHTS) as coded:
        np.testing.assert_allclose(coded.predict_proba(X), right.predict_proba(X), rtol=1e-12)
        assert coded.score(X, Y, WEIGHTS) == right.score(X, Y, WEIGHTS)
        with pytest.raises(TypeError, match="'nothing'"):
            coded.fit(X, Y, nothing=1)


def test_weights_are_routed_as_the_ensemble_requests(pool):
    forest = small(RandomForestClassifier)
    with sklearn.config_context(enable_metadata_routing=True):
        forest.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        coded = CodedEnsemble(forest, workers=pool)
        piped = make_pipeline(MinMaxScaler(), coded).fit(X, Y, sample_weight=WEIGHTS)
        right = clone(forest).fit(MinMaxScaler().fit_transform(X), Y, sample_weight=WEIGHTS)
        np.testing.assert_allclose(piped.predict_proba(X), right.predict_proba(MinMaxScaler().fit_transform(X)))
        other = np.roll(Y, 20)  # of which some are wrong
        weighted = right.score(MinMaxScaler().fit_transform(X), other, WEIGHTS)
        assert piped.score(X, other, sample_weight=WEIGHTS) == weighted != piped.score(X, other)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            CodedEnsemble(small(RandomForestClassifier), workers=pool).fit(X, Y, sample_weight=WEIGHTS)
        assert not hasattr(coded, "set_fit_request") and not hasattr(coded, "set_score_request")


@pytest.mark.parametrize("duplicate", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy, copy.copy])
def test_it_is_copied_with_its_fit(duplicate):
    with CodedEnsemble(small(GradientBoostingClassifier), workers="threads:2", tolerance=0.0).fit(X, Y) as coded:
        wanted = coded.predict_proba(X)
        with duplicate(coded) as made:
            assert not hasattr(made, "answer") and made.tolerance == 0.0
            np.testing.assert_allclose(made.predict_proba(X), wanted, rtol=1e-12)
        np.testing.assert_allclose(coded.predict_proba(X), wanted, rtol=1e-12)  # what was closed is its copy's


def test_columns_keep_their_names(pool):
    with CodedEnsemble(small(HistGradientBoostingRegressor), workers=pool).fit(FRAME, Y) as coded:
        assert coded.feature_names_in_.tolist() == FRAME.columns.tolist()
        with pytest.raises(ValueError, match="feature names should match"):
            coded.predict(FRAME.rename(columns={FRAME.columns[0]: "other"}))


def test_the_workers_of_one_that_is_gone_are_ended():
    with kofn.ThreadPool(2) as threads:
        coded = CodedEnsemble(small(RandomForestClassifier), workers=threads).fit(X, Y)
        coded.predict(X)
        held = threads._slots[0].residents
        assert held
        del coded
        assert not held
