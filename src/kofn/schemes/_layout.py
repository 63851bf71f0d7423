"""Where decoded targets go: a layout says it, an output is the answer while it is being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base._numbers import Array, Floats
from .._base._travel import Staying
from ..arrays._blocks import Grid
from ..arrays._combine import apply
from ..arrays._spec import ArraySpec
from ..checks import refusal
from ..errors import KofnError


@dataclass(frozen=True, eq=False)
class Layout:
    """How an answer is made of targets. Make one with `whole`, `stack` or `blocks`.

    Parameters
    ----------
    spec : ArraySpec
        Of the answer.
    targets : int
    grid : Grid, optional
        Whose blocks the targets are.
    stacked : bool
        Whether they lie along the first axis of the answer.
    added : bool
        Whether each is the only block of a grid of its own, and the answer is their sum.
    offset : array, optional
        Added to the answer when it is whole.
    overflow : KofnError, optional
        Raised instead of returning what has overflown.

    Examples
    --------
    >>> output = Layout.stack(2, ArraySpec((), np.dtype(float))).open()
    >>> output.write(np.array([[1.0, 1.0], [1.0, -1.0]]), [np.array(3.0), np.array(1.0)])
    >>> output.finish()
    array([4., 2.])
    """

    spec: ArraySpec
    targets: int
    grid: Grid | None = None
    stacked: bool = False
    added: bool = False
    offset: Array | None = None
    overflow: KofnError | None = None

    @classmethod
    def whole(cls, result: ArraySpec, overflow: KofnError | None = None) -> Layout:
        """The only target is the answer."""
        return cls(result, 1, overflow=overflow)

    @classmethod
    def stack(
        cls, targets: int, result: ArraySpec, offset: Array | None = None, overflow: KofnError | None = None
    ) -> Layout:
        """Targets one after another along a first axis."""
        spec = ArraySpec((targets, *result.shape), result.dtype)
        return cls(spec, targets, stacked=True, offset=offset, overflow=overflow)

    @classmethod
    def blocks(cls, grid: Grid, targets: int, dtype: np.dtype[Any], *, added: bool = False) -> Layout:
        """Targets as blocks of a grid."""
        return cls(ArraySpec(grid.shape, dtype), targets, grid, added=added)

    @property
    def nbytes(self) -> int:
        """Memory that the answer takes while it is made."""
        return self.spec.nbytes * (self.targets + 1 if self.added else 1)

    @property
    def is_direct(self) -> bool:
        """Whether targets are written to their places in the answer at once, so that it may be a file."""
        return self.grid is not None and not self.added

    def places(self, whole: Any) -> Sequence[Any]:
        """Where each target is written to in an answer, or in a stack of what is added."""
        if self.grid is None:
            return [whole[number, ...] for number in range(self.targets)] if self.stacked else [whole]
        return [self.grid.views(part)[0] for part in whole] if self.added else self.grid.views(whole)

    def open(self, out: Any = None) -> Output:
        """Start an answer, in ``out`` where that is given: an array, or a file that is written to like one."""
        return Output(self, out)


class Output(Staying):  # in a copy, targets would be no views of the answer
    """An answer while it is being written; opened by a `Layout`."""

    def __init__(self, layout: Layout, out: Any) -> None:
        self._layout, self._out = layout, out
        if out is not None and (out.shape, out.dtype) != (layout.spec.shape, layout.spec.dtype):
            must = f"have the answer's shape, {layout.spec.shape}, and dtype {layout.spec.dtype}"
            given = f"one of shape {out.shape} and dtype {out.dtype}"
            raise refusal("kofn.run", "out", must, given, "make another")
        shape = (layout.targets, *layout.spec.shape) if layout.added else layout.spec.shape
        self._whole = out if out is not None and layout.is_direct else np.empty(shape, layout.spec.dtype)
        self.targets = layout.places(self._whole)

    def write(self, matrix: Floats, results: Sequence[Any]) -> None:
        """Decode results with V = ``matrix``, (targets, results), each target to its place."""
        apply(matrix, results, self.targets)

    @np.errstate(over="ignore", invalid="ignore")
    def finish(self) -> Any:
        """The answer, once all targets are written."""
        layout = self._layout
        answer = self._whole.sum(axis=0) if layout.added else self._whole
        answer = answer if layout.offset is None else answer + layout.offset
        if layout.overflow is not None and not np.isfinite(answer).all():
            raise layout.overflow
        if self._out is None:
            return answer if np.ndim(answer) else answer[()]
        if answer is not self._out:
            self._out[...] = answer
        return self._out
