"""A coded ensemble predicts as the wrapped one did when it was wrapped, whatever happens to that later."""

import copy
import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

import kofn
from kofn.sklearn import CodedEnsemble
from processes import crossed

RNG = np.random.default_rng(1)
X = RNG.standard_normal((80, 3))
VALUES = X @ [1.0, 2.0, 0.0]
CLASSES = np.digitize(VALUES, [-1, 1])

ENSEMBLES = {
    "forest of classes": (RandomForestClassifier, {}, CLASSES),
    "forest of values": (RandomForestRegressor, {}, VALUES),
    "boosted classes": (GradientBoostingClassifier, {}, CLASSES),
    "boosted pair": (GradientBoostingClassifier, {"init": "zero"}, CLASSES > 0),
    "boosted values": (GradientBoostingRegressor, {"init": LinearRegression()}, VALUES),
}


def fitted(name):
    kind, arguments, y = ENSEMBLES[name]
    return clone(kind(n_estimators=6, random_state=0, **arguments)).fit(X, y)  # with an init of its own


def refit(ensemble):
    ensemble.fit(np.hstack([X, X])[:40], 100 + (VALUES[:40] > 1))


def grow(ensemble):
    y = next(y for kind, _, y in ENSEMBLES.values() if isinstance(ensemble, kind))
    if isinstance(ensemble, GradientBoostingClassifier) and ensemble.n_classes_ == 2:
        y = y > 0
    ensemble.set_params(n_estimators=9, warm_start=True).fit(X, y)


def set_parameters(ensemble):
    ensemble.set_params(n_estimators=2, random_state=3)
    if hasattr(ensemble, "learning_rate"):
        ensemble.set_params(learning_rate=5.0, loss="exponential" if is_classifier(ensemble) else "quantile")


def lose_trees(ensemble):
    ensemble.estimators_ = ensemble.estimators_[:2]


def swap_trees(ensemble):
    ensemble.estimators_[0] = ensemble.estimators_[1]


def write_into_trees(ensemble):
    for tree in np.ravel(ensemble.estimators_):
        tree.tree_.value[:] = 0.25


def refit_trees(ensemble):
    for tree in np.ravel(ensemble.estimators_):
        tree.fit(X, np.ones(len(X)))


def rename_classes(ensemble):
    if hasattr(ensemble, "classes_"):
        ensemble.classes_[:] = 1


def start_elsewhere(ensemble):
    ensemble.init_ = DummyRegressor(strategy="constant", constant=7.0).fit(X, VALUES)
    if getattr(ensemble, "init", None) not in (None, "zero"):
        ensemble.init.fit(X, -VALUES)


def forget_everything(ensemble):
    vars(ensemble).clear()


CHANGES = [
    refit, grow, set_parameters, lose_trees, swap_trees, write_into_trees, refit_trees, rename_classes,
    start_elsewhere, forget_everything,
]  # fmt: skip


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(3) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with kofn.LocalPool(2) as pool:
        yield pool


def require_unchanged_by(change, ensemble, pool, *, used):
    methods = [name for name in ("predict", "predict_proba") if hasattr(ensemble, name)]
    before = {name: getattr(ensemble, name)(X) for name in methods}
    before["score"] = ensemble.score(X, before["predict"])
    with CodedEnsemble(ensemble, workers=pool) as coded:
        if used:
            coded.predict(X)
        change(ensemble)
        for name in methods:
            np.testing.assert_allclose(getattr(coded, name)(X), before[name], rtol=1e-12, atol=1e-13)
        assert coded.score(X, before["predict"]) == before["score"]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ENSEMBLES)
def test_later_changes_are_not_seen(threads, name, change):
    require_unchanged_by(change, fitted(name), threads, used=False)


@pytest.mark.parametrize(("change", "used"), crossed([refit, write_into_trees], [False, True]))
def test_nor_by_processes(processes, change, used):
    require_unchanged_by(change, fitted("boosted classes"), processes, used=used)


def test_a_wrapped_ensemble_is_the_same_afterwards(threads):
    forest = fitted("forest of classes")
    before = pickle.dumps(forest)
    with CodedEnsemble(forest, workers=threads) as coded:
        coded.predict(X)
        coded.predict_proba(X)[:] = 0.5
        coded.classes_[:] = 7
    assert pickle.dumps(forest) == before


@pytest.mark.parametrize(
    "other",
    [
        IsolationForest(n_estimators=3),
        VotingRegressor([("line", LinearRegression())]),
        make_pipeline(StandardScaler(), RandomForestRegressor(3)),
        RandomForestClassifier,
        None,
    ],
    ids=lambda other: getattr(other, "__name__", type(other).__name__),
)
def test_other_ensembles_are_refused(threads, other):
    with pytest.raises(
        kofn.ArgumentError, match="'estimator' must be exactly a random forest, extra trees, bagging or"
    ):
        CodedEnsemble(other, workers=threads).fit(X, VALUES)


def test_other_ensembles_that_are_fitted_are_refused_at_once(threads):
    with pytest.raises(kofn.ArgumentError, match=r"must be exactly .*, but got a VotingRegressor; write its"):
        CodedEnsemble(VotingRegressor([("line", LinearRegression())]).fit(X, VALUES), workers=threads)
    with pytest.raises(kofn.ArgumentError, match="must be a sum over its members, but got an AdaBoostRegressor, whose"):
        CodedEnsemble(AdaBoostRegressor(n_estimators=2).fit(X, VALUES), workers=threads)


class Cautious(RandomForestRegressor):
    def predict(self, X):
        return 0.9 * super().predict(X)


class Median(RandomForestRegressor):
    def predict(self, X):
        return np.median([tree.predict(X) for tree in self.estimators_], axis=0)


class Renamed(RandomForestRegressor):
    pass


@pytest.mark.parametrize("kind", [Cautious, Median, Renamed])
def test_subclasses_are_refused(threads, kind):
    with pytest.raises(kofn.ArgumentError, match=f"must be exactly .*, but got a {kind.__name__}; write"):
        CodedEnsemble(kind(3).fit(X, VALUES), workers=threads)


def test_methods_that_were_replaced_are_refused(threads):
    forest = fitted("forest of values")
    forest.predict = lambda X: np.zeros(len(X))
    with pytest.raises(kofn.ArgumentError, match="must predict as its class does, but got one with a 'predict' of its"):
        CodedEnsemble(forest, workers=threads)


def test_what_cannot_be_copied_is_refused(threads):
    boosted = fitted("boosted values")
    boosted.init_.lock = threading.Lock()
    with pytest.raises(kofn.ArgumentError, match="must be one that can be copied, but got one that raised TypeError"):
        CodedEnsemble(boosted, workers=threads)


def test_refusals_speak_of_the_ensemble(threads):
    for wrong in ({"code": "nope"}, {"workers": "all"}, {"deadline": -1.0}, {"tolerance": "small"}):
        with pytest.raises(kofn.ArgumentError, match=f"^kofn.sklearn.CodedEnsemble: '{next(iter(wrong))}'"):
            CodedEnsemble(fitted("forest of values"), **{"workers": threads} | wrong)


def test_trees_that_predict_otherwise_do_so_here(threads):
    class Doubled(DecisionTreeRegressor):
        def predict(self, X, check_input=True):
            return 2 * super().predict(X, check_input)

    forest = fitted("forest of values")
    forest.estimators_[2] = Doubled(random_state=0).fit(X.astype(np.float32), VALUES)
    with CodedEnsemble(forest, workers=threads) as coded:
        np.testing.assert_allclose(coded.predict(X), forest.predict(X), rtol=1e-12)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_what_is_not_fitted_is_refused_as_the_library_refuses_it(threads, name):
    ensemble = clone(fitted(name))
    with pytest.raises(NotFittedError) as expected:
        ensemble.predict(X)
    with pytest.raises(NotFittedError) as refused:
        CodedEnsemble(ensemble, workers=threads).predict(X)
    assert str(refused.value) == str(expected.value).replace(type(ensemble).__name__, "CodedEnsemble")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_it_is_neither_copied_nor_pickled_with_a_pool(threads, duplicate):
    with CodedEnsemble(fitted("forest of values"), workers=threads) as coded:
        with pytest.raises(kofn.StaysHere, match=r"kofn\.ThreadPool"):
            duplicate(coded)
        np.testing.assert_allclose(coded.predict(X), fitted("forest of values").predict(X))


def test_it_can_be_asked_what_others_ask_an_estimator(threads):
    for name in ENSEMBLES:
        ensemble = fitted(name)
        with CodedEnsemble(ensemble, workers=threads) as coded:
            assert (is_classifier(coded), is_regressor(coded)) == (is_classifier(ensemble), is_regressor(ensemble))
            for attribute in ("classes_", "n_classes_", "n_outputs_", "n_features_in_", "feature_names_in_"):
                assert hasattr(coded, attribute) == hasattr(ensemble, attribute)
                np.testing.assert_array_equal(getattr(coded, attribute, None), getattr(ensemble, attribute, None))


def test_what_it_lacks_is_said_in_a_sentence(threads):
    with CodedEnsemble(fitted("forest of values"), workers=threads) as coded:
        for name, said in {
            "apply": "A CodedEnsemble has no 'apply': it predicts and scores; ask its estimator_ for more",
            "estimators_": "A CodedEnsemble has no 'estimators_': it predicts",
            "classes_": "'RandomForestRegressor' object has no attribute 'classes_'",
            "predict_proba": "'RandomForestRegressor' object has no attribute 'predict_proba'",
            "staged_predict": "'RandomForestRegressor' object has no attribute 'staged_predict'",
            "answer": "A CodedEnsemble has no answer before its first prediction",
            "_other": "A CodedEnsemble has no '_other'",
        }.items():
            assert not hasattr(coded, name)
            with pytest.raises(AttributeError, match=said):
                getattr(coded, name)


def test_scorers_pipelines_and_inspection_take_it(threads):
    scaler, y = StandardScaler().fit(X), CLASSES > 0
    boosted = GradientBoostingClassifier(n_estimators=6, random_state=0).fit(scaler.transform(X), y)
    with CodedEnsemble(boosted, workers=threads) as coded:
        for name in ("accuracy", "roc_auc", "neg_log_loss", "average_precision"):
            assert np.isclose(get_scorer(name)(coded, X, y), get_scorer(name)(boosted, X, y), rtol=1e-12)
        piped = make_pipeline(scaler, coded)
        np.testing.assert_array_equal(piped.predict(X), boosted.predict(scaler.transform(X)))
        assert piped.score(X, y) == boosted.score(scaler.transform(X), y)
        ours, theirs = (permutation_importance(one, X, y, n_repeats=2, random_state=0) for one in (coded, boosted))
        np.testing.assert_allclose(ours.importances, theirs.importances, atol=1e-12)
        scores = cross_val_score(coded, X, y)  # each of which has a fit of its own
        np.testing.assert_array_equal(scores, cross_val_score(clone(boosted), X, y))


def test_scores_take_weights(threads):
    weights = np.arange(80.0)
    for name in ENSEMBLES:
        ensemble, y = fitted(name), ENSEMBLES[name][2]
        with CodedEnsemble(ensemble, workers=threads) as coded:
            assert np.isclose(coded.score(X, y, weights), ensemble.score(X, y, weights), rtol=1e-12)
            assert np.isclose(coded.score(X, y[::-1], sample_weight=weights), ensemble.score(X, y[::-1], weights))
