"""Tree ensembles of scikit-learn, predicted on many workers without waiting for the slowest.

Importing this module needs scikit-learn: ``pip install 'kofn[sklearn]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import Answer
from .checks import refusal
from .closing import Closing
from .code import LinearCode
from .coded_sum import CodedSum, CodeLike
from .errors import KofnError
from .schemes import cyclic
from .stopping import rule

try:
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise KofnError("kofn.sklearn needs scikit-learn; install it with pip install 'kofn[sklearn]'.") from error

Array = NDArray[Any]
CALL = "kofn.sklearn.CodedEnsemble"


@dataclass(frozen=True)
class Tree:
    """A term of an ensemble: what one tree, or one stage of boosting, adds to the prediction.

    Parameters
    ----------
    trees : list of fitted trees
        One, or one for each class in a stage of boosting.
    method : str
        Of the trees: "predict" or "predict_proba".
    weight : float
    """

    trees: Any
    method: str
    weight: float

    def __call__(self, X: Any) -> Array:
        """What it adds to the prediction at X, (samples,) or (samples, classes)."""
        parts = [getattr(tree, self.method)(X) for tree in self.trees]
        part: Array = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
        return self.weight * part


def twofold(m: int, *, workers: int, rng: Any = None) -> LinearCode:
    """Cyclic blocks, half as many as workers: every tree starts at two workers, and whoever is done helps.

    A prediction is short, so that what a message costs, or how late it is, weighs more than the trees: few blocks
    are better than the many of `kofn.sum`. Where trees are slow and workers alike, ``code="cyclic"`` computes less
    twice.

    Examples
    --------
    >>> twofold(100, workers=8).load.max()
    np.float64(25.0)
    """
    return cyclic(m, blocks=max(1, min(m, workers // 2)), workers=workers)


class CodedEnsemble(Closing):
    """A fitted forest or boosted ensemble whose trees live at workers.

    Predictions equal the library's up to rounding once they are exact; with a tolerance or a deadline they come
    earlier, with an error bar in `answer`.

    Parameters
    ----------
    ensemble : fitted random forest, extra trees or gradient boosting, classifier or regressor
    workers, code, rng
        As for `kofn.sum`, but for the default of ``code``, `twofold`; a term is a tree, or a stage of boosting.
    tolerance, deadline : float, optional
        Stop rule of every prediction; exact by default.

    Attributes
    ----------
    answer : kofn.Answer
        Of the last prediction: whether its sum was exact, its error bar, and the report.

    Examples
    --------
    >>> import kofn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    >>> with kofn.ThreadPool(3) as pool, CodedEnsemble(forest, workers=pool) as coded:
    ...     bool(np.allclose(coded.predict_proba(X), forest.predict_proba(X), atol=1e-12)), coded.answer.exact
    (True, True)
    """

    answer: Answer

    def __init__(
        self,
        ensemble: Any,
        *,
        workers: Any = None,
        code: CodeLike = twofold,
        tolerance: float = 0.0,
        deadline: float | None = None,
        rng: Any = None,
    ) -> None:
        terms, self._divisor, self._offset = _terms(ensemble)
        self.ensemble = ensemble
        self._stop = rule(CALL, tolerance, deadline)
        self._sum = CodedSum(terms, workers=workers, code=code, rng=rng)

    def predict(self, X: Any) -> Array:
        """Predict classes, (samples,), or values, (samples,) or (samples, outputs)."""
        total = self._total(X)
        if not hasattr(self.ensemble, "classes_"):
            return total
        # Votes and scores can tie: rounding must not decide. The first class does as in the library, but where there is
        # one score for two classes, the second.
        if total.ndim == 1:
            best = (np.round(total, 12) >= 0).astype(np.intp)
        else:
            best = np.argmax(np.round(self._chances(total), 12), axis=1)
        classes: Array = self.ensemble.classes_[best]
        return classes

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (samples, classes)."""
        if not hasattr(self.ensemble, "classes_"):
            must, remedy = "be a classifier to have probabilities", "use predict"
            raise refusal(CALL, "ensemble", must, f"a {type(self.ensemble).__name__}", remedy)
        return self._chances(self._total(X))

    def _chances(self, total: Array) -> Array:
        if isinstance(self.ensemble, FORESTS):
            return total
        # With the exponential loss a score is half of the log odds (Friedman et al. 2000).
        return _probabilities(2.0 * total if self.ensemble.loss == "exponential" else total)

    def _total(self, X: Any) -> Array:
        X = np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X
        self.answer = answer = self._sum(X, stop=self._stop)  # of this thread, whatever others ask
        total: Array = answer.value / self._divisor + self._offset(X)
        return total

    def close(self) -> None:
        """Free the workers' memory; safe to call twice."""
        self._sum.close()


FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
BOOSTED = (GradientBoostingClassifier, GradientBoostingRegressor)


def _terms(ensemble: Any) -> tuple[list[Tree], int, Callable[[Any], Any]]:
    """The terms of an ensemble, what their sum is divided by, and what is added then."""
    if not isinstance(ensemble, FORESTS + BOOSTED):
        must = "be a random forest, extra trees or gradient boosting"
        remedy = "write its members as terms of kofn.sum"
        raise refusal(CALL, "ensemble", must, f"a {type(ensemble).__name__}", remedy)
    check_is_fitted(ensemble)
    if isinstance(ensemble, BOOSTED):
        stages = [Tree(list(stage), "predict", ensemble.learning_rate) for stage in ensemble.estimators_]
        return stages, 1, partial(_start, ensemble, stages[0])
    classifier = hasattr(ensemble, "classes_")
    if classifier and ensemble.n_outputs_ > 1:
        given, remedy = f"{ensemble.n_outputs_} outputs", "fit one forest an output"
        raise refusal(CALL, "ensemble", "have one output if it is a classifier", given, remedy)
    method = "predict_proba" if classifier else "predict"
    trees = [Tree([tree], method, 1.0) for tree in ensemble.estimators_]
    return trees, len(trees), lambda X: 0.0


def _start(ensemble: Any, first: Tree, X: Any) -> Array:
    """What boosting starts from: the prediction of the first stage without that stage."""
    staged = ensemble.staged_decision_function if hasattr(ensemble, "classes_") else ensemble.staged_predict
    after: Array = next(staged(X))
    stage = first(X)
    return after.reshape(stage.shape) - stage


def _probabilities(scores: Array) -> Array:
    """Probabilities of the classes from boosting's scores: logistic for two classes, softmax for more."""
    if scores.ndim == 1:
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
