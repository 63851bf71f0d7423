"""What the members of an ensemble add to its sum: each a function of an input that the ensemble has checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base._numbers import Array


@dataclass(frozen=True)
class Vote:
    """A term of a forest: what one tree says.

    Parameters
    ----------
    tree : fitted tree
    method : str
        "predict" or "predict_proba".
    """

    tree: Any
    method: str

    def __call__(self, X: Any) -> Array:
        """Its values, (samples,) or (samples, outputs), or chances, (samples, classes of all outputs)."""
        said = getattr(self.tree, self.method)(X, check_input=False)
        return np.hstack(said) if isinstance(said, list) else np.asarray(said)


@dataclass(frozen=True)
class Member:
    """A term of bagging: what one estimator says of the features that it was fitted to.

    Parameters
    ----------
    estimator : fitted estimator
        A classifier knows the classes by their numbers.
    features : array of int
    classes : int
        How many there are, of which it need not have seen all; 0 for a regressor.
    """

    estimator: Any
    features: Any
    classes: int

    def __call__(self, X: Any) -> Array:
        """Its values, (samples,) or (samples, outputs), or chances or votes, (samples, classes)."""
        X = X[:, self.features]
        if not self.classes:
            return np.asarray(self.estimator.predict(X))
        said = np.zeros((X.shape[0], self.classes))
        if hasattr(self.estimator, "predict_proba"):
            said[:, self.estimator.classes_] = self.estimator.predict_proba(X)
        else:
            said[np.arange(X.shape[0]), self.estimator.predict(X)] = 1.0
        return said


@dataclass(frozen=True)
class Ballot:
    """A term of AdaBoost: the vote of one classifier, for its class and against all others.

    Parameters
    ----------
    classifier : fitted classifier
    classes : (K,) array
    weight : float
    """

    classifier: Any
    classes: Array
    weight: float

    def __call__(self, X: Any) -> Array:
        """The weight for its class and −weight / (K − 1) for each other, (samples, K)."""
        mine = self.classifier.predict(X)[:, None] == self.classes
        return np.where(mine, self.weight, -self.weight / (len(self.classes) - 1))


@dataclass(frozen=True)
class Stage:
    """A term of boosting: what one stage adds to the scores.

    Parameters
    ----------
    trees : sequence of fitted trees
        One, or one for each class.
    rate : float
        The learning rate.
    """

    trees: Sequence[Any]
    rate: float

    def __call__(self, X: Any) -> Array:
        """Its part of the scores, (samples, trees)."""
        return self.rate * np.stack([tree.predict(X, check_input=False) for tree in self.trees], axis=1)


@dataclass(frozen=True)
class Iteration:
    """A term of boosting by histograms: what one iteration adds to the scores.

    Parameters
    ----------
    predictors : sequence
        One, or one for each class, with the learning rate in them.
    bitsets, features : array
        Which categories are known, and where those of each feature are.
    """

    predictors: Sequence[Any]
    bitsets: Array
    features: Array

    def __call__(self, X: Any) -> Array:
        """Its part of the scores, (samples, predictors)."""
        return np.stack([each.predict(X, self.bitsets, self.features, 1) for each in self.predictors], axis=1)
