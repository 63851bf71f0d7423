"""Sums as schemes: a row's worker adds up the terms that the row names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, ClassVar, Self, final

import numpy as np

from ..._base._numbers import EPSILON, Array, Floats
from ..._base._snapshots import Sealed, Snapshot, seal
from ...arrays._remote import Ref
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._estimators import Estimator
from ...codes.decoding._learning import TermLearner
from ...errors import TaskError, TermError
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Learner, Parts, Scheme
from .._task import Task, kind_of, name_some, rephrase, row_error
from .._template import Template
from . import _counts as counts
from ._code import CALL
from ._counts import Tally, whole
from ._terms import TOO_LARGE, TermFailed, Terms, evaluate, evaluate_there

RESIDENT_BYTES = 1 << 16
"""Inputs of this size and more are placed at a worker once and not sent with every row."""

_numbers = count()


@dataclass(frozen=True, eq=False)
class Input:
    """What the terms of one call are given; calls of several threads must not share what is resident.

    Parameters
    ----------
    value : object
    """

    value: Any
    number: int = field(default_factory=lambda: next(_numbers), compare=False)

    @classmethod
    def of(cls, x: Any) -> Input:
        """What all terms are given: read-only where it is an array, otherwise a copy for each of them.

        Examples
        --------
        >>> Input.of([1, 2]).value.open()
        [1, 2]
        """
        return x if isinstance(x, Input) else cls(seal(x))

    def taken(self, snapshot: Snapshot) -> Input:
        """The same as it is now, for a job of its own."""
        return Input(snapshot.value(self.value))

    @property
    def key(self) -> tuple[str, int]:
        """Under which it is resident while the sum is computed, if it is large."""
        return ("x", self.number)

    @property
    def large(self) -> bool:
        """Whether it is placed at a worker once, and not sent with every row."""
        return isinstance(self.value, np.ndarray | Sealed) and self.value.nbytes >= RESIDENT_BYTES


@final
@dataclass(frozen=True, eq=False, repr=False)
class SumScheme(Scheme):
    """Σ f_i(x) from a code over the terms: each row adds up some of them, weighed.

    Parameters
    ----------
    code : LinearCode
        From `kofn.schemes.SUMS`, or your own with a sparse generator, one unknown per term.
    terms : Terms
    x : object or Input
        Given to every term.
    energies : (m,) array, optional
        Expected squares E‖f_i(x)‖². Left out, a common mean and a spread are learned from what arrives.
    earlier : Prior, optional
        What an earlier call learned, until enough arrives.
    adaptive : bool
        Whether workers pass over rows whose equal has arrived or is under way.

    Examples
    --------
    >>> from kofn.schemes import cyclic
    >>> scheme = SumScheme(cyclic(2, workers=1), Terms.of([abs, abs]), -1.5)
    >>> tasks = scheme.encoding().encode(np.empty)
    >>> [float(task.function(*task.resident.values(), *task.arguments)) for task in tasks]
    [1.5, 1.5]
    """

    code: LinearCode
    terms: Terms
    x: Any
    energies: Floats | None = None
    earlier: Prior | None = None
    adaptive: bool = True

    def encoding(self) -> Encoding:
        """Nothing is computed: terms and input go to the workers as they are."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows, on the input as it is now."""
        x = Input.of(self.x)
        matrix, starts = self.code.generator, self.code.generator.indptr.tolist()
        parts = (slice(starts[row], starts[row + 1]) for row in rows)
        return [self._task(matrix.indices[part], matrix.data[part], x) for part in parts]

    def _task(self, indices: Array, weights: Array, x: Input) -> Task:
        if (refs := self.terms.refs) is not None:
            values = [refs[index] for index in indices.tolist()]
            held: dict[Hashable, Any] = {("terms", 0, self.terms.size): self.terms.functions}
            if x.large:
                return Task(evaluate_there, (values, indices, weights), {**held, x.key: x.value})
            return Task(evaluate_there, (x.value, values, indices, weights), held)
        compact = int(indices[-1]) - int(indices[0]) + 1 == len(indices)
        span = (int(indices[0]), int(indices[-1]) + 1) if compact else (0, self.terms.size)
        name, value, offset = self.terms.resident(*span)
        rest = (offset, indices, weights)
        if x.large:
            return Task(evaluate, rest, {name: value, x.key: x.value})
        return Task(evaluate, (x.value, *rest), {name: value})

    @property
    def references(self) -> Sequence[Ref]:
        """Terms and input, where they lie at workers."""
        value = Input.of(self.x).value
        return [*(self.terms.refs or ()), *([value] if isinstance(value, Ref) else [])]

    def _terms_of(self, row: int) -> list[int]:
        """Terms that a row adds up."""
        start, stop = self.code.generator.indptr[row : row + 2]
        terms: list[int] = self.code.generator.indices[start:stop].tolist()
        return terms

    def layout(self, result: ArraySpec) -> Layout:
        """The sum is like a result."""
        return Layout.whole(result, TermError(f"{CALL}: results of {self.code.name!r} {TOO_LARGE}.", -1))

    def prior(self) -> Prior:
        """What an earlier call learned, or terms of the energies given."""
        energies = np.ones(self.code.unknowns) if self.energies is None else self.energies
        return self.earlier or Prior.independent(energies)

    @property
    def parts(self) -> Parts:
        """One sum."""
        return Parts(())

    def learner(self) -> SumLearner:
        """Learns what terms are like, and notes which integers were added up."""
        return SumLearner(self)

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Array:
        """Take a result that looks like the first one; a worker has checked its numbers."""
        given = np.asarray(result)
        payload = given.astype(np.float64) if whole(given) else given
        if like is not None and (spec := ArraySpec.of(payload)) != like:
            raise self.row_error(row, f"returned {spec}, others {like}")
        return payload

    def kind(self, result: Any) -> ArraySpec | None:
        """Shape and type, all whole numbers being of one type."""
        kind = kind_of(result)
        given = np.asarray(0.0 if kind is None else result)
        return kind if kind is None or whole(given) else ArraySpec(kind.shape, given.dtype)

    def row_error(self, row: int, what: str) -> TaskError:
        """Build (not raise) what is wrong with the terms that a row adds up."""
        first, *rest = self._terms_of(row)
        named = f"terms {first} … {rest[-1]}" if rest else f"term {first}"
        return row_error(row, f"{named} {what}.", TermError, term=first)

    def explain(self, error: TaskError) -> TaskError:
        """Name the term that failed, where a worker said which, or the terms of a row of which nothing came back."""
        cause = error.__cause__
        if isinstance(cause, TermFailed):
            text = f"{cause} (at worker {error.worker}, in row {error.row})."
            return rephrase(error, text, TermError, cause.__cause__, term=cause.args[0])
        if error.row is None or isinstance(error, TermError):
            return error
        first, *rest = self._terms_of(error.row)
        text = f"{error} (it adds up terms {first} … {rest[-1]})" if rest else f"{error} (it is term {first})"
        return rephrase(error, text, TermError, cause, term=-1 if rest else first)

    def describe(self, rows: Sequence[int]) -> str:
        """The terms that rows have in common, or all of theirs, in words.

        Examples
        --------
        >>> from kofn.schemes import cyclic
        >>> scheme = SumScheme(cyclic(6, workers=3), Terms.of([abs] * 6), 1.0)
        >>> scheme.describe([0, 1]), scheme.describe([4])
        ('terms 0, 1', 'term 4')
        """
        added = [set(self._terms_of(row)) for row in rows]
        named = sorted(set.intersection(*added) or set.union(*added))
        return name_some("term", named)

    def taken(self, snapshot: Snapshot) -> SumScheme:
        """The same with terms and input as they are now."""
        return replace(self, terms=self.terms.taken(snapshot), x=Input.of(self.x).taken(snapshot))


class SumLearner(Learner):
    """What one run knows of the terms of a sum."""

    def __init__(self, scheme: SumScheme) -> None:
        super().__init__(scheme)
        self._sum = scheme
        self._tally = Tally()
        self._groups: set[int] = set()
        self._terms = TermLearner(scheme.code, earlier=scheme.earlier) if scheme.energies is None else None

    def _note(self, row: int, result: Any) -> None:
        blocks = self._sum.code.disjoint
        group = row if blocks is None else int(blocks.group[row])
        fresh = group not in self._groups
        self._groups.add(group)
        if fresh and not self._tally.add(np.asarray(result)):
            raise self._sum.row_error(row, f"and those before {counts.UNSAFE}")

    def settle(self, value: Any, decoding: Decoding, payloads: Sequence[Array]) -> Any:
        """Whole where all results are, unless rounding in adding them with real weights may reach the next number."""
        if not (decoding.exact and self._tally.whole):
            return value
        total, bound = counts.add_up(decoding.matrix[0], payloads)
        bound = bound * max(1.0, float(decoding.backward_error) / EPSILON)  # weights that were solved for are off too
        return np.where(bound < 0.5, np.rint(total), value)[()]

    def _learned(self, results: Mapping[int, Array]) -> Prior | None:
        return None if self._terms is None else self._terms.prior(results)


@final
@dataclass(frozen=True, eq=False)
class SumTemplate(Template):
    """Σ f_i without its input: what a sum that is computed again and again keeps at workers.

    Parameters
    ----------
    code : LinearCode
        Over the terms.
    terms : Terms
    energies : (m,) array or None
        Expected squares of the terms, where they are known.
    earlier : Prior, optional
        What the terms of another input were like.
    """

    code: LinearCode
    terms: Terms
    energies: Floats | None
    earlier: Prior | None = None

    arguments: ClassVar[Mapping[str, str]] = {"value": "terms", "function and arguments": "x"}

    def bind(self, operand: Any, estimator: Estimator | None = None) -> Scheme:
        """The sum at ``operand``."""
        return SumScheme(self.code, self.terms, Input.of(operand), self.energies, self.earlier)

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of the terms as they are now."""
        return replace(self, terms=self.terms.taken(snapshot))

    def keeps(self, key: Hashable) -> bool:
        """Terms stay, inputs go."""
        return isinstance(key, tuple) and key[0] == "terms"

    def after(self, scheme: Scheme, results: Mapping[int, Any]) -> Self:
        """The same, which expects of the terms what they were like."""
        return self if self.energies is not None else replace(self, earlier=scheme.learner().prior(results))
