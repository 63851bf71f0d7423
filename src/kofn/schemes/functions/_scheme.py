"""Values of a function as schemes: a row's worker evaluates f at an encoded input, and outputs are decoded.

With e(z) a curve through the inputs, e(β_k) = X_k, the results y_n = f(e(α_n)) are values of v = f∘e at the nodes α_n
of the workers, and the outputs wanted are v(β_k) (Agrawal et al., eqs. (2), (4), (5)). A code speaks of v in whatever
basis suits it: the rows of G are the basis at α_n, those of T at β_k. G belongs to what workers do, not to the encoder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._envelope import told
from ..._base._numbers import EPSILON, Floats
from ..._base._snapshots import collected, failure_of, opened, sealed
from ...checks import arrayed, behaving, beyond, refusal
from ...codes._copies import CopyCode
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import Estimator
from ...errors import FunctionError
from .._scheme import Allocate, Canvas, Parts, Scheme, Task, listed
from ._mixing import Bar, Mixing, Verdict

Array = NDArray[Any]
CALL = "kofn.map"

TOO_LARGE = "decode to more than their type can hold; let f divide its values, and multiply the answer"

numbers = count()
"""Every job, or series of jobs, has its own number, so that it drops what it placed at workers and nothing else."""


@dataclass(frozen=True, eq=False)
class Evaluations:
    """What workers evaluate, and what their results say of the outputs that are wanted.

    This is what a code for functions gives back: a builder in `kofn.schemes.FUNCTIONS`, your own, or a fitted code.
    `function_scheme` makes a `Scheme` of it.

    Parameters
    ----------
    code : LinearCode
        One row an evaluation; one target an output.
    functions : sequence of callables, one per row
        What workers run, resident there; the same object is placed once, however many rows and jobs use it.
    encode : callable
        ``encode()`` returns one tuple of arguments per row: the result of row r is ``functions[r](*arguments[r])``.
    expect : callable
        ``expect()`` returns the `Prior` of the unknowns; called only when an estimate is needed.
    learn : callable, optional
        ``learn(results)`` returns the `Prior` from the results that have arrived, by row; asked instead of ``expect``.
    mean : (unknowns, …) array, optional
        Means of the unknowns, each of the shape of a result: estimates are made around them, and the prior speaks of
        what varies (`around`).
    enough : int, optional
        Results to wait for where outputs are never exact; None where the code is exact from enough of them.
    estimator : {"lmmse", "exact"} or Rule
        How this code decodes what is not exact, unless the user says otherwise.
    epsilon : float
        Relative precision of the inputs that are mixed.
    mixing : Mixing, optional
        What is known of mixtures and of f, for what is called exact.
    picked : bool
        Whether every result is an output itself, so that it may be anything (`kofn.schemes.functions._hedged`).
    bar : Bar, optional
        What an estimate's error is taken to be once its results are known; by default what the prior says of it.
    """

    code: LinearCode
    functions: Sequence[Callable[..., Any]]
    encode: Callable[[], Sequence[tuple[Any, ...]]]
    expect: Callable[[], Prior]
    learn: Callable[[Mapping[int, Array]], Prior] | None = None
    mean: Array | None = None
    enough: int | None = None
    estimator: Estimator = "lmmse"
    epsilon: float = EPSILON
    mixing: Mixing | None = None
    picked: bool = False
    bar: Bar | None = None


def around(samples: Floats) -> tuple[Floats, Prior]:
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
    >>> mean, prior = around(np.array([[[1.0], [2.0]], [[3.0], [2.0]]]))
    >>> mean.ravel().tolist(), prior.energies.round(12).tolist(), float(prior.energy(np.eye(2)))
    ([2.0, 2.0], [1.0, 0.0], 9.0)
    """
    draws, unknowns = samples.shape[:2]
    mean = samples.mean(axis=0)
    deviations = (samples - mean).reshape(draws, unknowns, -1).swapaxes(0, 1).reshape(unknowns, -1)
    factor: Floats = np.linalg.qr(deviations.T / np.sqrt(draws), mode="r")  # type: ignore[assignment]
    known: Floats = np.linalg.qr(mean.reshape(unknowns, -1).T, mode="r")  # type: ignore[assignment]
    return mean, Prior(factor.T, known=known.T)


def function_scheme(evaluations: Evaluations, number: int | None = None) -> Scheme:
    """The scheme whose answer is the stack of outputs, (targets, …).

    Parameters
    ----------
    evaluations : Evaluations
    number : int, optional
        That of a series of jobs which share what is resident; this job's own by default.

    Examples
    --------
    >>> code = LinearCode("pair", [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.eye(2), worker=[0, 1, 2])
    >>> X = np.array([1.0, 2.0])
    >>> linear = Evaluations(code, [np.negative] * 3, lambda: [(x,) for x in code.generator @ X],
    ...                      lambda: Prior.independent([1.0, 1.0]))
    >>> scheme = function_scheme(linear)
    >>> results = [task.function(*task.resident.values(), *task.arguments) for task in scheme.encode(np.empty)]
    >>> scheme.assemble(np.array([[-1.0, 1.0], [1.0, 0.0]]), [results[1], results[2]])
    array([-1., -2.])
    """
    code, mean = evaluations.code, evaluations.mean
    owner = next(numbers) if number is None else number

    def encode(allocate: Allocate) -> Sequence[Task]:
        rows = zip(evaluations.functions, evaluations.encode(), strict=True)
        return [
            Task(evaluate, (place_of(code, row), *map(sealed, arguments)), {resident_key(owner, function): function})
            for row, (function, arguments) in enumerate(rows)
        ]

    def canvas(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Canvas:
        outputs = np.empty((len(code.targets), *shape), dtype)

        def finish() -> Array:
            return outputs if mean is None else outputs + np.tensordot(code.targets, mean, axes=1)

        overflown = FunctionError(f"{CALL}: results of {code.name!r} {TOO_LARGE}.", -1)
        return Canvas([outputs[target, ...] for target in range(len(outputs))], finish).finite(overflown)

    return Scheme(
        code,
        encode,
        canvas,
        evaluations.expect,
        epsilon=evaluations.epsilon * (1.0 if evaluations.mixing is None else evaluations.mixing.growth),
        learn=evaluations.learn,
        accept=Accept(code, mean),
        parts=Parts((len(code.targets),)),
        judge=None if evaluations.picked else Verdict(code, evaluations.mixing, evaluations.epsilon, evaluations.bar),
        explain=partial(explained, code),
    )


def resident_key(owner: int, function: Any) -> tuple[str, int, int]:
    """Under which a function is at the workers, for jobs of one owner that hold it."""
    return "function", owner, id(function)


def place_of(code: LinearCode, row: int) -> str:
    """Where a row evaluates f, in words: at an input, if its result is an output, or at a mixture of inputs.

    Examples
    --------
    >>> code = LinearCode("pair", [[1.0, 0.0], [1.0, 1.0]], np.eye(2), worker=[0, 1])
    >>> place_of(code, 0), place_of(code, 1)
    ('input 0', 'the encoded input of row 1, a mixture of all inputs')
    """
    index = input_of(code, row)
    return f"the encoded input of row {row}, a mixture of all inputs" if index is None else f"input {index}"


def input_of(code: LinearCode, row: int) -> int | None:
    """The input at which a row evaluates f; None where it is a mixture."""
    if isinstance(code, CopyCode):
        return int(code.groups[row])
    same = np.flatnonzero((code.targets == code.generator[row]).all(axis=1))
    return int(same[0]) if same.size else None


def explained(code: LinearCode, rows: Sequence[int]) -> str:
    """What rows are about, in words.

    Examples
    --------
    >>> explained(LinearCode("pair", [[1.0, 0.0], [1.0, 1.0]], np.eye(2), worker=[0, 1]), [0, 1])
    'input 0, and mixtures'
    """
    inputs = {input_of(code, row) for row in rows}
    plain = sorted(index for index in inputs if index is not None)
    said = f"input{'s' * (len(plain) > 1)} {listed(plain)}" if plain else ""
    return said if None not in inputs else f"{said}, and mixtures" if said else "mixtures of all inputs"


class EvaluationFailed(Exception):
    """At the worker: what f did, and where; the user sees a `kofn.FunctionError`."""


def require_result(result: object, place: str) -> None:
    """Refuse what an asynchronous function gives back: it has not run yet."""
    if inspect.iscoroutine(result):
        result.close()
        raise EvaluationFailed(f"f returned a coroutine at {place}; wrap it in lambda x: asyncio.run(f(x))")


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


class Accept:
    """Takes results of the shape and type of the first one, less their mean, and refuses others with their place."""

    def __init__(self, code: LinearCode, mean: Array | None) -> None:
        self._code = code
        self._mean = mean
        self._kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    def anew(self) -> Accept:
        """One that has seen no result yet."""
        return Accept(self._code, self._mean)

    def __call__(self, row: int, result: Any) -> Array:
        value = np.asarray(result)
        value = value.astype(np.complex128 if value.dtype.kind == "c" else np.float64, copy=False)
        kind = (value.shape, value.dtype)
        if self._kind is None:
            self._kind = kind if self._mean is None else (self._mean.shape[1:], value.dtype)
        if kind != self._kind:
            shape, dtype = self._kind
            text = f"f returned {value.dtype} of shape {value.shape} at {place_of(self._code, row)}"
            expected = f"where results are {dtype} of shape {shape}"
            worker, index = int(self._code.worker[row]), input_of(self._code, row)
            raise FunctionError(f"{text}, {expected}.", worker, row, input=index)
        if self._mean is None:
            return value
        return np.asarray(value - np.tensordot(self._code.generator[row], self._mean, axes=1))


def stacked(inputs: Any) -> Array:
    """Check the inputs of one call, and stack them: (K, …), float32, float64 or complex.

    Examples
    --------
    >>> stacked([[1, 2], [3, 4]]).dtype
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
