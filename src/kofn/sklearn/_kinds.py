"""Which ensembles are sums over their members, of what, and where the library is given the sum."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
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

from .._base._numbers import Array
from ..checks import refusal
from ._terms import Ballot, Iteration, Member, Stage, Vote

Total = Callable[[Any], Array]
"""The sum of all terms at an input."""


class Kind(ABC):
    """An ensemble that is a sum over its members; all but the sum is the library's, from the checks of the input on."""

    lacks: tuple[str, ...] = ()
    """Methods that the library has and that are no function of the sum."""

    @abstractmethod
    def terms(self, ensemble: Any) -> list[Any]:
        """What is added, as functions of an input that was checked."""

    @abstractmethod
    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        """Have ``ensemble``, a shallow copy, take ``finish`` of what it would compute from ``total``."""

    def with_sum(self, ensemble: Any, total: Total, finish: Total) -> Any:
        """The library's ensemble with another way to sum over its members."""
        made = copy.copy(ensemble)
        self.put(made, total, finish)
        return made


@dataclass(frozen=True)
class Average:
    """In the place of all members of an ensemble, one that says what they say on average.

    Parameters
    ----------
    member : fitted estimator
        The first one, which forests ask how they should check their input.
    average : callable
        The average of all terms.
    classes_ : array of int
        All classes by their numbers, as bagging numbers them.
    """

    member: Any
    average: Total
    classes_: Any = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.member, name)

    def predict(self, X: Any, check_input: bool = False) -> Array:
        """Values, (samples,) or (samples, outputs)."""
        return self.average(X)

    def predict_proba(self, X: Any, check_input: bool = False) -> Array | list[Array]:
        """Chances of the classes, (samples, classes), or a list of them, one an output."""
        if len(self.classes_):
            return self.average(X)
        ends = np.cumsum(self.member.n_classes_)
        chances = np.split(self.average(X), ends[:-1], axis=1)
        return chances if len(chances) > 1 else chances[0]

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the chances of the classes, (samples, classes)."""
        with np.errstate(divide="ignore"):
            return np.log(self.average(X))


class Forest(Kind):
    """Trees, each with one vote."""

    def terms(self, ensemble: Any) -> list[Any]:
        method = "predict_proba" if hasattr(ensemble, "classes_") else "predict"
        return [Vote(tree, method) for tree in ensemble.estimators_]

    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        trees = ensemble.estimators_
        ensemble.estimators_ = [Average(trees[0], lambda X: finish(total(X) / len(trees)))]
        ensemble.n_jobs = 1  # there is one tree to ask


class Bag(Kind):
    """Estimators of any kind, each with one vote."""

    lacks = ("decision_function",)

    def terms(self, ensemble: Any) -> list[Any]:
        classes = getattr(ensemble, "n_classes_", 0)
        pairs = zip(ensemble.estimators_, ensemble.estimators_features_, strict=True)
        return [Member(estimator, features, classes) for estimator, features in pairs]

    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        members = ensemble.estimators_
        classes = np.arange(getattr(ensemble, "n_classes_", 0))
        ensemble.estimators_ = [Average(members[0], lambda X: finish(total(X) / len(members)), classes)]
        ensemble.estimators_features_ = [slice(None)]
        ensemble.n_estimators = ensemble.n_jobs = 1


class Adaptive(Kind):
    """Classifiers whose votes have weights."""

    def terms(self, ensemble: Any) -> list[Any]:
        pairs = zip(ensemble.estimators_, ensemble.estimator_weights_, strict=False)  # weights of later ones are 0
        return [Ballot(each, ensemble.classes_, float(weight)) for each, weight in pairs]

    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        if ensemble.n_classes_ == 1:  # nobody is asked
            return
        weight = ensemble.estimator_weights_.sum()

        def scores(X: Any) -> Array:
            votes = finish(total(ensemble._check_X(X)) / weight)
            return votes[:, 1] - votes[:, 0] if ensemble.n_classes_ == 2 else votes

        ensemble.decision_function = scores


class Boosted(Kind):
    """Trees that add to scores, stage by stage."""

    def terms(self, ensemble: Any) -> list[Any]:
        return [Stage(list(trees), ensemble.learning_rate) for trees in ensemble.estimators_]

    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        begin = ensemble._raw_predict_init
        ensemble._raw_predict = lambda X: finish(begin(X) + total(X))


class Histograms(Kind):
    """The same over features in bins."""

    def terms(self, ensemble: Any) -> list[Any]:
        categories = ensemble._bin_mapper.make_known_categories_bitsets()
        return [Iteration(list(each), *categories) for each in ensemble._predictors]

    def put(self, ensemble: Any, total: Total, finish: Total) -> None:
        def add(X: Any, predictors: Any, scores: Array, is_binned: bool, n_threads: int) -> None:
            scores[...] = finish(scores + total(X))

        ensemble._predict_iterations = add


KINDS: dict[type, Kind] = {
    RandomForestClassifier: Forest(),
    RandomForestRegressor: Forest(),
    ExtraTreesClassifier: Forest(),
    ExtraTreesRegressor: Forest(),
    BaggingClassifier: Bag(),
    BaggingRegressor: Bag(),
    AdaBoostClassifier: Adaptive(),
    GradientBoostingClassifier: Boosted(),
    GradientBoostingRegressor: Boosted(),
    HistGradientBoostingClassifier: Histograms(),
    HistGradientBoostingRegressor: Histograms(),
}
"""Exactly these classes: a subclass may predict otherwise."""

MUST = "be exactly a random forest, extra trees, bagging or boosting of scikit-learn"


def kind_of(ensemble: Any, call: str) -> Kind:
    """What kind of sum an ensemble is; refused where it is none."""
    if type(ensemble) is AdaBoostRegressor:
        given, remedy = "an AdaBoostRegressor, whose prediction is a median", "boost with GradientBoostingRegressor"
        raise refusal(call, "estimator", "be a sum over its members", given, remedy)
    if type(ensemble) not in KINDS:
        given = f"the class {ensemble.__name__}" if isinstance(ensemble, type) else f"a {type(ensemble).__name__}"
        raise refusal(call, "estimator", MUST, given, "write its members as terms of kofn.sum")
    replaced = [name for name in vars(ensemble) if callable(getattr(type(ensemble), name, None))]
    if replaced:
        must, remedy = "predict as its class does", "wrap it without that, and apply it to the predictions"
        raise refusal(call, "estimator", must, f"one with a {replaced[0]!r} of its own", remedy)
    return KINDS[type(ensemble)]
