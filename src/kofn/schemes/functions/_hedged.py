"""Outputs that are picked and never added: copies of any call, of which the first counts.

G repeats the identity and T is it. Nothing is mixed and nothing decoded, so inputs and results may be anything that
can be sent, as for `map`; idle workers take over what waits behind slow ones, and repeat what is under way elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from ..._base._copies import as_now
from ..._base._numbers import EPSILON, Array
from ..._base._snapshots import failure_of, unseal
from ...arrays._remote import Ref
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._estimators import Estimator, fill_with_zeros, rule_of
from ...codes.decoding._learning import TermLearner
from ...errors import CodeError
from .._layout import Layout
from .._scheme import Parts, Scheme
from ._calls import EvaluationFailed, require_result
from ._model import PriorModel
from ._scheme import CallScheme, FunctionScheme


@final
@dataclass(frozen=True, eq=False, repr=False)
class HedgedScheme(CallScheme):
    """Copies of any calls: the answer is the outputs in the order of the inputs, an array or a list (`together`).

    Parameters
    ----------
    code, functions, arguments
        As for `CallScheme`; the code only copies.
    precision : float
        Relative precision of the inputs.
    zero_fill : bool
        Whether what is missing in an array is zero, as papers have it.

    Examples
    --------
    >>> from kofn.schemes import FUNCTIONS
    >>> scheme = FUNCTIONS["uncoded"](str, [1, 2.5, None])
    >>> tasks = scheme.encoding().encode(np.empty)
    >>> results = [task.function(*task.resident.values(), *task.arguments) for task in tasks]
    >>> scheme.together([2, 0], [results[2], results[0]])
    ['1', None, 'None']
    """

    precision: float = EPSILON
    zero_fill: bool = False

    def __post_init__(self) -> None:
        if self.code.picks is None:
            raise CodeError(f"outputs can only be picked with a code that copies, which {self.code.name!r} does not.")

    @property
    def kernel(self) -> Callable[..., Any]:
        """Whatever f returns."""
        return call

    @property
    def adaptive(self) -> bool:
        """Copies are for whoever is free."""
        return True

    @property
    def references(self) -> Sequence[Ref]:
        """Inputs that lie at workers."""
        return [value for row in self.arguments.of_rows() for value in row if isinstance(value, Ref)]

    def layout(self, result: ArraySpec) -> Layout:
        """Outputs one after another, where they are arrays of one shape and type."""
        return Layout.stack(self.code.unknowns, result)

    def prior(self) -> Prior:
        """All outputs count alike."""
        return Prior.independent(np.ones(self.code.unknowns))

    @property
    def parts(self) -> Parts:
        """Outputs; those that are not there are missing."""
        return Parts((self.code.unknowns,), left_out=True)

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Any:
        """Anything is a result."""
        return result

    def answer(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Any], out: Any = None) -> Any:
        """The outputs that have come."""
        return self.together(rows, results)

    def together(self, rows: Sequence[int], results: Sequence[Any]) -> Any:
        """The outputs of some rows in the order of the inputs."""
        assert self.code.picks is not None
        outputs: dict[int, Any] = {}
        for row, result in zip(rows, results, strict=True):
            outputs.setdefault(int(self.code.picks[row]), result)
        return together(outputs, self.code.unknowns, self.zero_fill)

    @property
    def estimator(self) -> Estimator:
        """What is missing is missing."""
        return "exact"

    def decoded_by(self, estimator: Estimator | None) -> Scheme:
        """The scheme that is run where users ask for this estimator, or for none."""
        if estimator is None or rule_of(estimator) is fill_with_zeros:
            return replace(self, zero_fill=estimator is not None)
        return self.estimating()

    def estimating(self) -> FunctionScheme:
        """The scheme that estimates outputs that are missing, of functions that return numbers or arrays."""
        model = LikeOthers(self.code)
        return FunctionScheme(self.code, self.functions, self.arguments, model, precision=self.precision)


@dataclass(frozen=True, eq=False)
class LikeOthers(PriorModel):
    """Outputs that did not arrive are taken to be like those that did: around their mean, as far from it.

    Parameters
    ----------
    code : LinearCode
        That only copies.
    """

    code: LinearCode

    def first_prior(self) -> Prior:
        """All outputs count alike."""
        return Prior.independent(np.ones(self.code.unknowns))

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """With the mean and the spread of what is there."""
        from scipy.sparse import csr_array

        rows, K = self.code.rows, self.code.unknowns
        copies = csr_array((np.ones(rows), self.code.picks, np.arange(rows + 1)), shape=(rows, K))
        return TermLearner(LinearCode(self.code.name, copies, np.ones((1, K)), self.code.worker)).prior(results)


def call(function: Callable[..., Any], place: str, *arguments: Any) -> Any:
    """What a worker does: call the function.

    Examples
    --------
    >>> call(len, "input 0", "abc")
    3
    """
    try:
        result = function(*map(unseal, arguments))
    except BaseException as error:
        raise EvaluationFailed(f"f {failure_of(error, 'x', f' at {place}')}") from error
    require_result(result, place)
    return as_now(result)  # f may use its buffers again


def together(outputs: Mapping[int, Any], size: int, zero_fill: bool = False) -> Any:
    """Outputs in their order: an array where all are numbers or arrays of one shape and exact type, or else a list.

    Parameters
    ----------
    outputs : mapping of index to output
        Those that are there.
    size : int
        How many there are to be. What is missing is NaN in an array of floating point, None in a list, and masked
        (`numpy.ma`) in an array of other numbers.
    zero_fill : bool
        Whether what is missing in an array is zero.

    Examples
    --------
    >>> together({0: 1, 1: 2.5}, 2), together({0: 1, 1: "two"}, 2)
    (array([1. , 2.5]), [1, 'two'])
    >>> together({1: 0.5}, 2), together({1: "b"}, 2), together({1: 7}, 2).tolist()
    (array([nan, 0.5]), [None, 'b'], [None, 7])
    """
    array = stacked(outputs.values()) if outputs else None
    if array is None:
        return [outputs.get(index) for index in range(size)]
    there = np.fromiter(outputs, dtype=np.intp, count=len(outputs))
    full = np.zeros((size, *array.shape[1:]), array.dtype)
    full[there] = array
    if len(there) == size or zero_fill:
        return full
    missing = np.ones(size, dtype=bool)
    missing[there] = False
    if array.dtype.kind in "fc":
        full[missing] = np.nan
        return full
    masked = np.ma.array(full)
    masked[missing] = np.ma.masked
    return masked


def stacked(outputs: Iterable[Any]) -> Array | None:
    """Numbers, or arrays of one shape, in one array of a type that holds all of them exactly; None of anything else.

    Examples
    --------
    >>> stacked([True, False]), stacked([1, 2**53 + 1]), stacked([2**53 + 1, 0.5]), stacked([2**64, 1])
    (array([ True, False]), array([               1, 9007199254740993]), None, None)
    """
    values = list(outputs)
    if not all(type(value) in PLAIN or isinstance(value, np.number | np.bool_) for value in values):
        return None
    arrays = [np.asarray(value) for value in values]
    if any(array.dtype.kind not in "biufc" or array.shape != arrays[0].shape for array in arrays):
        return None
    types = {array.dtype for array in arrays}
    common = np.result_type(*types)
    if common.kind != "b" and any(dtype.kind == "b" for dtype in types):
        return None
    whole = [array for array in arrays if array.dtype.kind in "iu"]
    if common.kind in "fc" and whole and (len(whole) == len(arrays) or not all(_held(one, common) for one in whole)):
        return None
    return np.stack([array.astype(common, copy=False) for array in arrays])


PLAIN = {bool, int, float, complex, np.ndarray}
"""Types that are numbers or arrays and nothing more."""


def _held(whole: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a floating-point type holds integers exactly, whatever they are up to its precision."""
    limit: int = 2 ** (int(np.finfo(dtype).nmant) + 1)
    return int(whole.max(initial=0)) <= limit and int(whole.min(initial=0)) >= -limit
