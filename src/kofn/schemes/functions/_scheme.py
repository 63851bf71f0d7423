"""Values of a function as schemes: a row's worker evaluates f at an encoded input, and outputs are decoded.

With e(z) a curve through the inputs, e(β_k) = X_k, the results y_n = f(e(α_n)) are values of v = f∘e at the nodes α_n
of the workers, and the outputs wanted are v(β_k) (Agrawal et al., eqs. (2), (4), (5)). A code speaks of v in whatever
basis suits it: the rows of G are the basis at α_n, those of T at β_k. G belongs to what workers do, not to the encoder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np

from ..._base._envelope import told
from ..._base._numbers import EPSILON, Array, Floats
from ..._base._snapshots import Snapshot, collected, failure_of, opened, sealed
from ...arrays._spec import ArraySpec
from ...checks import arrayed, behaving, beyond, refusal
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import Estimator
from ...errors import FunctionError, TaskError
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Judge, Learner, Parts, Scheme
from .._task import Task, in_other_words, listed, row_error
from ._calls import (
    Arguments,
    EvaluationFailed,
    GivenArguments,
    describe_row,
    input_of,
    require_result,
    resident_key,
)
from ._mixing import Mixing, Verdict
from ._model import PriorModel

CALL = "kofn.map"

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

    @abstractmethod
    def decoded_by(self, estimator: Estimator | None) -> Scheme:
        """The scheme that is run where users ask for this estimator, or for none."""

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
                (describe_row(self.code, row), *map(sealed, arguments[row])),
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
        return in_other_words(error, text, FunctionError, cause, input=index)

    def describe(self, rows: Sequence[int]) -> str:
        """Inputs, and whether there are mixtures, in words."""
        inputs = {input_of(self.code, row) for row in rows}
        plain = sorted(index for index in inputs if index is not None)
        said = f"input{'s' * (len(plain) > 1)} {listed(plain)}" if plain else ""
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

    @property
    def kernel(self) -> Callable[..., Any]:
        """A value, checked."""
        return evaluate

    @property
    def epsilon(self) -> float:
        """That of the inputs, and how much larger results are by design."""
        return self.precision * (1.0 if self.mixing is None else self.mixing.growth)

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

    def decoded_by(self, estimator: Estimator | None) -> Scheme:
        """The scheme that is run where users ask for this estimator, or for none."""
        return self

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


def evaluate(function: Callable[..., Any], place: str, *arguments: Any) -> Array:
    """What a worker does: evaluate f and check its value.

    Examples
    --------
    >>> evaluate(np.sqrt, "input 0", 4)
    array(2.)
    """
    try:
        result = function(*map(opened, arguments))
        require_result(result, place)
        array, masked = arrayed(result)
        value, large = np.array(array), beyond(result, array)  # f may use its buffer again
    except EvaluationFailed:
        raise
    except BaseException as error:
        raise EvaluationFailed(f"f {failure_of(error, 'x', f' at {place}')}") from error
    if value.dtype.kind not in "biufc":
        raise EvaluationFailed(f"f returned a {value.dtype} at {place}, which is not a number or an array of numbers")
    if large is not None:
        raise EvaluationFailed(f"f returned the integer {large} at {place}, which float64 cannot hold: return floats")
    value = value if value.dtype.kind in "fc" else value.astype(np.float64)  # its type says how precise it is
    if masked:
        raise EvaluationFailed(f"f returned an array with masked numbers at {place}")
    if not np.isfinite(value).all():
        raise EvaluationFailed(f"f returned NaN or inf at {place}")
    return value


def stack_inputs(inputs: Any) -> Array:
    """Check the inputs of one call, and stack them: (K, …), float32, float64 or complex.

    Examples
    --------
    >>> stack_inputs([[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    remedy = "give K arrays of one shape"
    if np.ma.isMaskedArray(inputs):
        raise refusal(CALL, "inputs", "be without a mask", "a masked array", "fill it first, with .filled(0)")
    if hasattr(inputs, "toarray"):
        must, remedy = "be dense where they are mixed", "pass inputs.toarray()"
        raise refusal(CALL, "inputs", must, f"a {type(inputs).__name__}", remedy)
    # Going through a frame would give the names of its columns.
    ready = isinstance(inputs, memoryview) or hasattr(inputs, "__array__")
    if not ready and (not np.iterable(inputs) or isinstance(inputs, Mapping | Set)):
        raise refusal(CALL, "inputs", "be a sequence of arrays", repr(inputs), remedy)
    parts = inputs if ready else collected(inputs)
    for kind in {type(inputs), *map(type, () if ready else parts)}:
        if not behaving(kind):
            must, own = (
                "be plain arrays for a code that mixes them",
                f"a {kind.__name__}, which computes in its own way",
            )
            raise refusal(CALL, "inputs", must, own, "convert each with np.asarray(x), or use code='repetition'")
    try:
        array, masked = arrayed(parts)
    except Exception as error:
        if hasattr(inputs, "__array__") or not isinstance(error, ValueError):  # it says in its own words why not
            must, remedy = "be arrays, or become such", "convert them first"
            raise refusal(CALL, "inputs", must, told(error), remedy) from error
        shapes = sorted({str(np.asarray(one, dtype=object).shape) for one in parts})
        raise refusal(CALL, "inputs", "be arrays of one shape", f"shapes {', '.join(shapes)}", remedy) from None
    if masked:
        raise refusal(CALL, "inputs", "be without masks", "masked numbers among them", "fill them, with .filled(0)")
    if array.ndim == 0 or not len(array) or array.dtype.kind not in "biufc":
        raise refusal(CALL, "inputs", "be at least one array of numbers", f"{array.dtype} {array.shape}", remedy)
    if (large := beyond(parts, array)) is not None:
        must = "be integers of at most 2**53, which is what float64 holds"
        raise refusal(CALL, "inputs", must, large, "give floats, or smaller numbers that f makes large")
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        wrong = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise refusal(CALL, "inputs", "be finite", f"NaN or inf in input {wrong}", "clean it first")
    return array
