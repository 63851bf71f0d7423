"""Tree ensembles of scikit-learn, predicted on many workers without waiting for the slowest.

Importing this module needs scikit-learn: ``pip install 'kofn[sklearn]'``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Unpack

import numpy as np

from ._api._sum import CodedSum, CodeLike
from ._base._closeable import Closeable
from ._base._numbers import Array
from .checks import masked, named, refusal
from .codes._linear import LinearCode
from .errors import require
from .jobs._answer import Answer
from .jobs._options import OptionKeywords, Options
from .schemes import cyclic

with require("kofn.sklearn", "sklearn"):
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import check_is_fitted

CALL = "kofn.sklearn.CodedEnsemble"

FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
BOOSTED = (GradientBoostingClassifier, GradientBoostingRegressor)

FITTED = ("classes_", "n_classes_", "n_outputs_", "n_features_in_", "feature_names_in_", "_estimator_type")
"""What others ask of an estimator, and a coded one knows from the wrapped one."""


@dataclass(frozen=True)
class Vote:
    """A term of a forest: what one tree says, given input that the forest has checked.

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
class Stage:
    """A term of boosting: what one stage adds to the scores, given input that the ensemble has checked.

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
class Forest:
    """In the place of all trees of a forest, one that says what they say on average.

    Parameters
    ----------
    tree : fitted tree
        The first one, which forests ask how they should check their input.
    average : callable
        The average of all terms.
    """

    tree: Any
    average: Callable[[Any], Array]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tree, name)

    def predict(self, X: Any, check_input: bool = False) -> Array:
        """Values, (samples,) or (samples, outputs)."""
        return self.average(X)

    def predict_proba(self, X: Any, check_input: bool = False) -> Array | list[Array]:
        """Chances of the classes, (samples, classes), or a list of them, one an output."""
        ends = np.cumsum(self.tree.n_classes_)
        chances = np.split(self.average(X), ends[:-1], axis=1)
        return chances if len(chances) > 1 else chances[0]


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


def _wrapped_has(name: str) -> Callable[[CodedEnsemble], bool]:
    """Whether the wrapped ensemble has a method; otherwise the library's own AttributeError."""
    return lambda coded: bool(getattr(coded._wrapped, name))


class CodedEnsemble(Closeable):
    """A fitted forest or boosted ensemble whose trees live at workers.

    It predicts what the ensemble predicted when it was wrapped: what happens to that later, a new fit for example, is
    not seen here. What it is given is checked by the library, with its warnings and exceptions. Predictions equal the
    library's up to rounding once they are exact; with a tolerance or a deadline they come earlier, with an error bar in
    `answer`.

    Parameters
    ----------
    ensemble : fitted random forest, extra trees or gradient boosting, classifier or regressor
        Of exactly these classes; a subclass may predict otherwise.
    workers, code, rng
        As for `kofn.sum`, but for the default of ``code``, `twofold`; a term is a tree, or a stage of boosting.
    options : Options, optional
    **keywords
        How every prediction runs, as of `kofn.Options`.

    Attributes
    ----------
    answer : kofn.Answer
        Of the last prediction: whether its sum was exact, its error bar, and the report.
    classes_, n_classes_, n_outputs_, n_features_in_, feature_names_in_
        Those of the ensemble, if it has them.

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

    @named(CALL)
    def __init__(
        self,
        ensemble: Any,
        *,
        workers: Any = None,
        code: CodeLike = twofold,
        rng: Any = None,
        options: Options | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        self._wrapped = _snapshot(ensemble)
        self._sum = CodedSum(_terms(self._wrapped), workers=workers, code=code, rng=rng, options=options, **keywords)

    def predict(self, X: Any) -> Array:
        """Predict classes or values, (samples,) or (samples, outputs)."""
        classes_or_values: Array = self._decider(X).predict(X)
        return classes_or_values

    @available_if(_wrapped_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, (samples, classes); a list of such arrays for several outputs."""
        return self._scorer(X).predict_proba(X)

    @available_if(_wrapped_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`."""
        return self._scorer(X).predict_log_proba(X)

    @available_if(_wrapped_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:
        """Scores of a boosted classifier, (samples,) for two classes, otherwise (samples, classes)."""
        return self._scorer(X).decision_function(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R² of a regressor."""
        return float(self._decider(X).score(X, y, sample_weight))

    def fit(self, X: Any, y: Any = None, **_: Any) -> NoReturn:
        """Refuse: what is wrapped was fitted before."""
        raise refusal(CALL, "ensemble", "be fitted before it is wrapped", "a call of fit", "fit it, and wrap it anew")

    def _scorer(self, X: Any, finish: Callable[[Array], Array] = np.asarray) -> Any:
        """The library's ensemble to ask about X, whose sum over all trees is computed by the workers."""
        if masked(X):  # the library would take the numbers under the mask
            raise refusal(CALL, "X", "be without masked numbers", "some", "fill them first, with .filled(np.nan)")
        return _with_sum(self._wrapped, self._total, finish)

    def _decider(self, X: Any) -> Any:
        """The same for the choice of a class: votes and scores can tie, and rounding must not decide."""
        return self._scorer(X, _round if hasattr(self._wrapped, "classes_") else np.asarray)

    @named(CALL)
    def _total(self, X: Any) -> Array:
        self.answer = answer = self._sum(X)  # of this thread, whatever others ask
        total: Array = answer.value
        return total

    def __getattr__(self, name: str) -> Any:
        if name == "answer":
            raise AttributeError("A CodedEnsemble has no answer before its first prediction.", name=name, obj=self)
        public = not name.startswith("_")
        if name in FITTED or (public and not hasattr(self._wrapped, name)):
            return getattr(self._wrapped, name)  # or the AttributeError of the library
        sentence = f"A CodedEnsemble has no {name!r}: it predicts and scores; ask the ensemble itself for more."
        raise AttributeError(sentence, name=name, obj=self)

    def __sklearn_tags__(self) -> Any:
        return self._wrapped.__sklearn_tags__()

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"CodedEnsemble({self._wrapped!r})"

    def close(self) -> None:
        """Free the workers' memory; safe to call twice."""
        self._sum.close()


def _snapshot(ensemble: Any) -> Any:
    """A copy of a fitted ensemble that nobody else can change."""
    if type(ensemble) not in FORESTS + BOOSTED:
        must = "be exactly a random forest, extra trees or gradient boosting of scikit-learn"
        remedy = "write its members as terms of kofn.sum"
        raise refusal(CALL, "ensemble", must, f"a {type(ensemble).__name__}", remedy)
    check_is_fitted(ensemble)
    replaced = [name for name in vars(ensemble) if callable(getattr(type(ensemble), name, None))]
    if replaced:
        must, remedy = "predict as its class does", "wrap it without that, and apply it to the predictions"
        raise refusal(CALL, "ensemble", must, f"one with a {replaced[0]!r} of its own", remedy)
    try:
        return copy.deepcopy(ensemble)
    except Exception as error:
        given, remedy = f"one that raised {type(error).__name__}: {error}", "see that copy.deepcopy takes its init"
        raise refusal(CALL, "ensemble", "be one that can be copied", given, remedy) from error


def _terms(ensemble: Any) -> list[Vote] | list[Stage]:
    if isinstance(ensemble, BOOSTED):
        return [Stage(list(trees), ensemble.learning_rate) for trees in ensemble.estimators_]
    method = "predict_proba" if hasattr(ensemble, "classes_") else "predict"
    return [Vote(tree, method) for tree in ensemble.estimators_]


def _round(scores: Array) -> Array:
    return np.round(scores, 12)


def _with_sum(ensemble: Any, total: Callable[[Any], Array], finish: Callable[[Array], Array]) -> Any:
    """The library's ensemble with another way to sum over its trees.

    All the rest, from the checks of the input to what is made of the sum, is the library's.
    """
    made = copy.copy(ensemble)
    if isinstance(ensemble, BOOSTED):
        made._raw_predict = lambda X: finish(made._raw_predict_init(X) + total(X))
    else:
        trees = ensemble.estimators_
        made.estimators_ = [Forest(trees[0], lambda X: finish(total(X) / len(trees)))]
        made.n_jobs = 1  # there is one tree to ask
    return made
