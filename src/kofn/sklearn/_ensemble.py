"""An ensemble whose members live at workers, as scikit-learn's own meta-estimators behave."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn import get_config

from .._api._auto import AUTO
from .._api._sum import CodedSum, CodeLike, check_code, redundant
from .._base._closeable import at_end
from .._base._numbers import Array, Seed
from ..checks import masked, named, refusal
from ..codes._linear import LinearCode
from ..errors import TermError
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._lease import PoolLease
from ..jobs._options import OptionKeywords, Options
from ..jobs._stop import StopRule
from ..jobs.scheduling import Scheduler
from ..schemes import cyclic
from ._kinds import KINDS, kind_of

CALL = "kofn.sklearn.CodedEnsemble"

FITTED = (
    "classes_", "n_classes_", "n_outputs_", "n_features_in_", "feature_names_in_", "feature_importances_",
)  # fmt: skip
"""What others ask of an estimator, and a coded one knows from the one that it has."""

OPTIONS = tuple(name for name in OptionKeywords.__annotations__ if name != "estimator")
"""Options that are parameters; what an estimate uses is named in ``options=`` alone, as `estimator` is the ensemble."""


def twofold(m: int, *, workers: int, rng: Seed = None) -> LinearCode:
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


def _has(name: str) -> Callable[[CodedEnsemble], bool]:
    """Whether the ensemble has a method, and one that is a function of the sum."""

    def check(coded: CodedEnsemble) -> bool:
        ensemble = _inner(vars(coded).get("estimator_", coded.estimator))
        kind = KINDS.get(type(ensemble))
        return hasattr(ensemble, name) and (kind is None or name not in kind.lacks)

    return check


class CodedEnsemble(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """An ensemble of scikit-learn whose members live at workers when it predicts.

    What is fitted already is used as it is, from a copy made now: what happens to it later, a new fit for example, is
    not seen here. Otherwise, and whenever it is called, `fit` fits a clone of it, on this machine, as the library does.
    `sklearn.base.clone`, and with it `GridSearchCV` and `cross_val_score`, forgets what was fitted, as always; around
    `sklearn.frozen.FrozenEstimator` nothing is forgotten.

    What it is given is checked by the library, with its warnings and exceptions; members of bagging and AdaBoost warn
    where they are. Predictions equal the library's up to rounding once they are exact; with a tolerance or a deadline
    they come earlier, with an error bar in `answer`.

    Parameters
    ----------
    estimator : random forest, extra trees, bagging, gradient boosting (of either kind) or AdaBoostClassifier
        Classifier or regressor, fitted or not, of exactly these classes, as a subclass may predict otherwise; or a
        FrozenEstimator of one. AdaBoostRegressor predicts a median, which is no sum, and is refused.
    workers, code, rng
        As for `kofn.sum`, but for the default of ``code``, `twofold` where ``redundancy`` is not given; a term is a
        tree or another member, or a stage of boosting. To be pickled it needs a number or a name as ``workers``; clones
        share a pool.
    options : Options, optional
        How every prediction runs.
    deadline, tolerance, stop, scheduler, progress, memory_limit_bytes, scratch, redundancy, aim, verify
        As of `kofn.Options`; None is what ``options`` says.

    Attributes
    ----------
    estimator_ : estimator
        The fitted ensemble.
    answer : kofn.Answer
        Of the last prediction: whether its sum was exact, its error bar, and the report.
    classes_, n_classes_, n_outputs_, n_features_in_, feature_names_in_, feature_importances_
        Those of the ensemble, if it has them.

    Examples
    --------
    >>> import kofn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    >>> with kofn.ThreadPool(3) as pool, CodedEnsemble(forest, workers=pool) as coded:
    ...     bool(np.allclose(coded.predict_proba(X), forest.predict_proba(X), atol=1e-12)), coded.answer.exact
    (True, True)

    In a search, where each candidate is fitted:

    >>> from sklearn.model_selection import GridSearchCV
    >>> with kofn.ThreadPool(3) as pool:
    ...     coded = CodedEnsemble(RandomForestClassifier(5, random_state=0), workers=pool)
    ...     GridSearchCV(coded, {"estimator__max_depth": [1, 3]}).fit(X, y).best_params_
    {'estimator__max_depth': 3}
    """

    __metadata_request__fit = {"sample_weight": UNUSED}  # noqa: RUF012  the ensemble asks for it
    __metadata_request__score = {"sample_weight": UNUSED}  # noqa: RUF012

    @named(CALL)
    def __init__(
        self,
        estimator: Any,
        *,
        workers: Any = None,
        code: CodeLike = twofold,
        rng: Seed = None,
        options: Options | None = None,
        deadline: float | None = None,
        tolerance: float | None = None,
        stop: StopRule | None = None,
        scheduler: str | Scheduler | None = None,
        progress: Callable[[Progress], None] | Literal["bar"] | None = None,
        memory_limit_bytes: int | None = None,
        scratch: str | os.PathLike[str] | None = None,
        redundancy: int | None = None,
        aim: Literal["p99", "median"] | None = None,
        verify: Literal["off", "detect", "correct"] | None = None,
    ) -> None:
        self.estimator = estimator
        self.workers = workers
        self.code = code
        self.rng = rng
        self.options = options
        self.deadline = deadline
        self.tolerance = tolerance
        self.stop = stop
        self.scheduler = scheduler
        self.progress = progress
        self.memory_limit_bytes = memory_limit_bytes
        self.scratch = scratch
        self.redundancy = redundancy
        self.aim = aim
        self.verify = verify
        if _is_fitted(estimator):
            self.estimator_ = _snapshot(estimator)
            self._served()  # refuses what cannot work

    @named(CALL)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any) -> Self:
        """Fit a clone of the ensemble, as the library does.

        Parameters
        ----------
        X, y
            As the ensemble takes them.
        sample_weight, **fit_params
            Handed to its ``fit``; with metadata routing, as it requests them.
        """
        self._check()
        for name, given in (("X", X), ("y", y)):
            _require_no_mask(name, given)
        fitted = clone(self.estimator)
        fitted.fit(X, y, **self._routed("fit", {"sample_weight": sample_weight} | fit_params))
        self.close()
        self.estimator_ = fitted
        self._served(anew=True)
        return self

    def predict(self, X: Any) -> Array:
        """Predict classes or values, (samples,) or (samples, outputs)."""
        classes_or_values: Array = self._decider(X).predict(X)
        return classes_or_values

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, (samples, classes); a list of such arrays for several outputs."""
        return self._scorer(X).predict_proba(X)

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`."""
        return self._scorer(X).predict_log_proba(X)

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:
        """Scores of a boosted classifier, (samples,) for two classes, otherwise (samples, classes)."""
        return self._scorer(X).decision_function(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R² of a regressor."""
        return float(self._decider(X).score(X, y, **self._routed("score", {"sample_weight": sample_weight})))

    def _routed(self, method: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What goes to the ensemble of what came with the data."""
        given = {name: value for name, value in given.items() if value is not None}
        if not get_config()["enable_metadata_routing"]:
            return given
        routed: Mapping[str, Any] = process_routing(self, method, **given).estimator[method]
        return routed

    def get_metadata_routing(self) -> MetadataRouter:
        """What the ensemble requests, for scikit-learn's metadata routing."""
        same = MethodMapping().add(caller="fit", callee="fit").add(caller="score", callee="score")
        return MetadataRouter(owner=type(self).__name__).add(estimator=self.estimator, method_mapping=same)

    # -- predictions ----------------------------------------------------------------------------------

    def _scorer(self, X: Any, finish: Callable[[Array], Array] = np.asarray) -> Any:
        """The library's ensemble to ask about X, whose sum over all members is computed by the workers."""
        check_is_fitted(self)
        _require_no_mask("X", X)
        ensemble = _inner(self.estimator_)
        return kind_of(ensemble, CALL).with_sum(ensemble, self._total, finish)

    def _decider(self, X: Any) -> Any:
        """The same for the choice of a class: votes and scores can tie, and rounding must not decide."""
        return self._scorer(X, _round if hasattr(self, "classes_") else np.asarray)

    @named(CALL)
    def _total(self, X: Any) -> Array:
        return self._served().total(X)

    def _served(self, *, anew: bool = False) -> _Served:
        """The members at their workers, anew where they were to be others or elsewhere."""
        wanted = tuple(getattr(self, name) for name in ("workers", "code", "rng", "options", *OPTIONS))
        with _making:
            served: _Served | None = vars(self).get("_serving")
            if anew or served is None or any(one is not other for one, other in zip(served.given, wanted, strict=True)):
                self.close()
                self._serving = _Served(self, _inner(self.estimator_), wanted, self._run_options())
            return self._serving

    def _run_options(self) -> Options:
        given = {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}
        return Options.of(self.options, given)

    def _check(self) -> None:
        """Refuse what could not predict, before anything is fitted."""
        kind_of(_inner(self.estimator), CALL)
        check_code(self.code)
        options = self._run_options()
        redundant(_code_with(self.code, options), options.redundancy)
        with PoolLease(self.workers, CALL) as lease:
            options.settled(CALL, lease.n)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        served: _Served | None = vars(self).get("_serving")
        if served is not None:
            served.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what scikit-learn asks of an estimator ---------------------------------------------------------

    @property
    def answer(self) -> Answer:
        """Of the last prediction."""
        served: _Served | None = vars(self).get("_serving")
        if served is None or served.answer is None:
            raise AttributeError("none was made")  # `__getattr__` has the words
        return served.answer

    def __getattr__(self, name: str) -> Any:
        if name == "answer":
            raise AttributeError("A CodedEnsemble has no answer before its first prediction.", name=name, obj=self)
        public = not name.startswith("_") and name not in ("estimator", "estimator_")
        ensemble = _inner(vars(self).get("estimator_")) if public else None
        if ensemble is not None and (name in FITTED or not hasattr(ensemble, name)):
            return getattr(ensemble, name)  # or the AttributeError of the library
        remedy = "ask its estimator_ for more" if ensemble is not None else "fit it first"
        sentence = f"A CodedEnsemble has no {name!r}: it predicts and scores; {remedy}."
        raise AttributeError(sentence, name=name, obj=self)

    def __sklearn_tags__(self) -> Any:
        estimator = _inner(vars(self).get("estimator_", self.estimator))
        if not hasattr(estimator, "__sklearn_tags__"):
            return super().__sklearn_tags__()
        return copy.deepcopy(get_tags(estimator))

    def __sklearn_is_fitted__(self) -> bool:
        return "estimator_" in vars(self)

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.workers = None  # a pool cannot be copied, and is there to be shared
        made: Self = super(CodedEnsemble, bare).__sklearn_clone__()
        made.workers = self.workers
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_serving"}


_making = threading.RLock()


class _Served:
    """The members of a fitted ensemble at workers, until they are let go of, or their owner is gone.

    Parameters
    ----------
    owner : CodedEnsemble
    ensemble : fitted ensemble
    given : tuple
        Workers, code, rng, and what may be changed by ``set_params``.
    options : Options
    """

    def __init__(self, owner: CodedEnsemble, ensemble: Any, given: tuple[Any, ...], options: Options) -> None:
        self.given = given
        self.answer: Answer | None = None
        terms = kind_of(ensemble, CALL).terms(ensemble)
        workers, code, rng, *_ = given
        self._sum = CodedSum(terms, workers=workers, code=_code_with(code, options), rng=rng, options=options)
        self._finalizer = at_end(owner, self._sum.close)  # once it has run, it holds nothing

    def total(self, X: Any) -> Array:
        """The sum at X; what a member raises is raised, as the library does."""
        try:
            self.answer = answer = self._sum(X)  # of this thread, whatever others ask
        except TermError as error:
            if (raised := error.__cause__) is None:
                raise
            raised.add_note(str(error))
            raise raised from None
        total: Array = answer.value
        return total

    def close(self) -> None:
        """Let the workers go."""
        self._finalizer()


def _code_with(code: CodeLike, options: Options) -> CodeLike:
    """The code; where ``redundancy=`` says how many copies there are, the default is that of `kofn.sum`."""
    return AUTO if code is twofold and options.redundancy is not None else code


def _inner(estimator: Any) -> Any:
    """The ensemble itself."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def _is_fitted(estimator: Any) -> bool:
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        return False
    try:
        check_is_fitted(estimator)
    except Exception:  # also what is no estimator: `fit` will say so
        return False
    return True


def _snapshot(estimator: Any) -> Any:
    """A copy of a fitted ensemble that nobody else can change."""
    kind_of(_inner(estimator), CALL)
    try:
        return copy.deepcopy(estimator)
    except Exception as error:
        given, remedy = f"one that raised {type(error).__name__}: {error}", "see that copy.deepcopy takes its init"
        raise refusal(CALL, "estimator", "be one that can be copied", given, remedy) from error


def _require_no_mask(name: str, given: Any) -> None:
    if masked(given):  # the library would take the numbers under the mask
        raise refusal(CALL, name, "be without masked numbers", "some", "fill them first, with .filled(np.nan)")


def _round(scores: Array) -> Array:
    return np.round(scores, 12)
