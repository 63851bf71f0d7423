"""Values of a function as schemes: a row's worker evaluates f at an encoded input, and outputs are decoded.

With e(z) a curve through the inputs, e(β_k) = X_k, the results y_n = f(e(α_n)) are values of v = f∘e at the nodes α_n
of the workers, and the outputs wanted are v(β_k) (Agrawal et al., eqs. (2), (4), (5)). A code speaks of v in whatever
basis suits it: the rows of G are the basis at α_n, those of T at β_k. G belongs to what workers do, not to the encoder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from ..._base._numbers import EPSILON, Array, Floats
from ..._base._snapshots import Snapshot, seal
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import Estimator
from ...errors import FunctionError, TaskError
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Judge, Learner, Parts, Scheme
from .._task import Task, name_some, rephrase, row_error
from .._template import Template
from ._calls import CALL, Arguments, EvaluationFailed, GivenArguments, describe_row, evaluate, input_of, resident_key
from ._mixing import Mixing, Verdict
from ._model import PriorModel

TOO_LARGE = "decode to more than their type can hold; let f divide its values, and multiply the answer"


@dataclass(frozen=True, eq=False, repr=False)
class CallScheme(Scheme):
    """A scheme whose rows are calls.

    Parameters
    ----------
    code : LinearCode
        One row a call; one target an output.
    functions : sequence of callables, one per row
        What workers run, resident there; the same object is placed once, however many rows and jobs use it.
    arguments : Arguments
    """

    code: LinearCode
    functions: Sequence[Callable[..., Any]]
    arguments: Arguments

    @property
    @abstractmethod
    def kernel(self) -> Callable[..., Any]:
        """What a worker does: ``kernel(function, place, *arguments)``."""

    def decoded_by(self, estimator: Estimator | None) -> Scheme:
        """The scheme that is run where users ask for this estimator, or for none; by default this one."""
        return self

    @abstractmethod
    def estimating(self) -> FunctionScheme:
        """The scheme that estimates outputs that are missing."""

    def encoding(self) -> Encoding:
        """Nothing is encoded in blocks: rows are sent their arguments."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows."""
        arguments = self.arguments.of_rows()
        return [
            Task(
                self.kernel,
                (describe_row(self.code, row), *map(seal, arguments[row])),
                {resident_key(self.functions[row]): self.functions[row]},
            )
            for row in rows
        ]

    def explain(self, error: TaskError) -> TaskError:
        """Say where f failed, as the worker saw it, or where it was to be evaluated when nothing came back."""
        cause = error.__cause__
        if isinstance(cause, EvaluationFailed):
            text, cause = f"{cause} (at worker {error.worker}).", cause.__cause__
        elif error.row is not None and not isinstance(error, FunctionError):
            text = f"{error} (it evaluates f at {describe_row(self.code, error.row)})"
        else:
            return error
        index = None if error.row is None else input_of(self.code, error.row)
        return rephrase(error, text, FunctionError, cause, input=index)

    def describe(self, rows: Sequence[int]) -> str:
        """Inputs, and whether there are mixtures, in words."""
        inputs = {input_of(self.code, row) for row in rows}
        plain = sorted(index for index in inputs if index is not None)
        said = name_some("input", plain) if plain else ""
        return said if None not in inputs else f"{said}, and mixtures" if said else "mixtures of all inputs"

    def taken(self, snapshot: Snapshot) -> Self:
        """The same with functions and arguments as they are now."""
        arguments = GivenArguments([tuple(map(snapshot.value, row)) for row in self.arguments.of_rows()])
        return replace(self, functions=[snapshot.function(f) for f in self.functions], arguments=arguments)


@final
@dataclass(frozen=True, eq=False, repr=False)
class FunctionScheme(CallScheme):
    """Values of functions at inputs and mixtures of them, and what they say of the outputs that are wanted.

    This is what a code for functions gives back: a builder in `kofn.schemes.FUNCTIONS`, your own, or a fitted code.
    The answer is the stack of outputs, (targets, …).

    Parameters
    ----------
    code, functions, arguments
        As for `CallScheme`.
    model : PriorModel
        What is expected of the unknowns.
    mean : (unknowns, …) array, optional
        Means of the unknowns, each of the shape of a result: estimates are made around them, and the prior speaks of
        what varies (`center`).
    enough : int, optional
        Results to wait for where outputs are never exact; None where the code is exact from enough of them.
    estimator : {"lmmse", "exact"} or Rule
        How this code decodes what is not exact, unless the user says otherwise.
    precision : float
        Relative precision of the inputs that are mixed.
    mixing : Mixing, optional
        What is known of mixtures and of f, for what is called exact.

    Examples
    --------
    >>> import kofn
    >>> from kofn.schemes import KnownPrior, Mixture
    >>> code = kofn.LinearCode("pair", [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.eye(2), worker=[0, 1, 2])
    >>> model = KnownPrior(kofn.Prior.independent([1.0, 1.0]))
    >>> linear = FunctionScheme(code, [np.negative] * 3, Mixture(code.generator, np.array([1.0, 2.0])), model)
    >>> tasks = linear.encoding().encode(np.empty)
    >>> results = [task.function(*task.resident.values(), *task.arguments) for task in tasks]
    >>> linear.assemble(np.array([[-1.0, 1.0], [1.0, 0.0]]), [results[1], results[2]])
    array([-1., -2.])
    """

    model: PriorModel
    mean: Array | None = None
    enough: int | None = None
    estimator: Estimator = "lmmse"
    precision: float = EPSILON
    mixing: Mixing | None = None

    kernel = staticmethod(evaluate)

    @property
    def epsilon(self) -> float:
        """That of the inputs, and how much larger results are by design."""
        return self.precision * (1.0 if self.mixing is None else self.mixing.growth)

    @property
    def claim(self) -> str:
        """What f is taken to be."""
        return "" if self.mixing is None else self.mixing.claim

    def layout(self, result: ArraySpec) -> Layout:
        """Outputs one after another, around their means."""
        offset = None if self.mean is None else np.tensordot(self.code.targets, self.mean, axes=1)
        overflow = FunctionError(f"{CALL}: results of {self.code.name!r} {TOO_LARGE}.", -1)
        return Layout.stack(len(self.code.targets), result, offset, overflow)

    def prior(self) -> Prior:
        """What the model says before anything has arrived."""
        return self.model.first_prior()

    @property
    def parts(self) -> Parts:
        """Outputs."""
        return Parts((len(self.code.targets),))

    def learner(self) -> FunctionLearner:
        """Learns what f is like, and judges what is exact."""
        return FunctionLearner(self)

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Array:
        """Take a result of the shape and type of the first one, less its mean."""
        value = np.asarray(result)
        value = value.astype(np.complex128 if value.dtype.kind == "c" else np.float64, copy=False)
        spec = ArraySpec.of(value)
        if like is None and self.mean is not None:
            like = ArraySpec(self.mean.shape[1:], value.dtype)
        if like is not None and spec != like:
            text = f"f returned {spec} at {describe_row(self.code, row)}, where results are {like}."
            raise row_error(row, text, FunctionError, input=input_of(self.code, row))
        if self.mean is None:
            return value
        return np.asarray(value - np.tensordot(self.code.generator[row], self.mean, axes=1))

    def estimating(self) -> FunctionScheme:
        """The scheme that estimates outputs that are missing: this one."""
        return self


class FunctionLearner(Learner):
    """What one run knows of f."""

    def __init__(self, scheme: FunctionScheme) -> None:
        super().__init__(scheme)
        self._model = scheme.model.learner()
        alone = scheme.code.picks is not None  # outputs as they were computed need no judge
        self._verdict = None if alone else Verdict(scheme.code, scheme.mixing, scheme.precision, self._model.bar)

    @property
    def judge(self) -> Judge | None:
        """What is exact in units of each output's own largest number."""
        return self._verdict

    def _learned(self, results: Mapping[int, Array]) -> Prior:
        return self._model.prior_of_results(results)


@final
@dataclass(frozen=True, eq=False)
class FunctionTemplate(Template):
    """A function and its code without inputs: what a map that is called again and again keeps at workers.

    Parameters
    ----------
    build : callable
        ``build(inputs, workers=…, rng=…)`` gives the scheme.
    workers : int
    rng : None, int or Generator
        Draws what is random in a code.
    """

    build: Callable[..., CallScheme]
    workers: int
    rng: Any = None

    arguments: ClassVar[Mapping[str, str]] = {"value": "f", "function and arguments": "inputs"}

    def bind(self, operand: Any, estimator: Estimator | None = None) -> Scheme:
        """The function at the inputs ``operand``; outputs are picked wherever that is all that is asked for."""
        return self.build(operand, workers=self.workers, rng=self.rng).decoded_by(estimator)


def center(samples: Floats) -> tuple[Floats, Prior]:
    """Mean of sampled unknowns, and what is expected of deviations from it: for estimates around a known mean.

    Parameters
    ----------
    samples : (draws, unknowns, …) array
        Unknowns, each of the shape of a result, of independent draws of the inputs.

    Returns
    -------
    mean : (unknowns, …) array
    prior : Prior
        With the covariance of the unknowns around the mean, and the mean's energy as ``known``.

    Examples
    --------
    >>> mean, prior = center(np.array([[[1.0], [2.0]], [[3.0], [2.0]]]))
    >>> mean.ravel().tolist(), prior.energies.round(12).tolist(), float(prior.energy(np.eye(2)))
    ([2.0, 2.0], [1.0, 0.0], 9.0)
    """
    draws, unknowns = samples.shape[:2]
    mean = samples.mean(axis=0)
    deviations = (samples - mean).reshape(draws, unknowns, -1).swapaxes(0, 1).reshape(unknowns, -1)
    factor: Floats = np.linalg.qr(deviations.T / np.sqrt(draws), mode="r")  # type: ignore[assignment]
    known: Floats = np.linalg.qr(mean.reshape(unknowns, -1).T, mode="r")  # type: ignore[assignment]
    return mean, Prior(factor.T, known=known.T)
