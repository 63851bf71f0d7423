"""Where an answer is written that is given a place: what does not suit it is refused before anything starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..arrays._file import FileMatrix
from ..engines.dask._output import ClusterArray
from ..schemes._encoding import Encoding
from ..schemes._scheme import Scheme
from ..schemes.functions._hedged import HedgedScheme


def require_place(call: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is no place for an answer of this shape and dtype.

    Examples
    --------
    >>> require_place("kofn.run", np.empty((2, 3)), (2, 3), np.dtype(float))
    >>> require_place("kofn.run", np.empty((2, 3), int), (2, 3), np.dtype(float))
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.run: 'out' must be an array of shape (2, 3) and dtype float64 that can be ...
    """
    must = f"be an array of shape {shape} and dtype {dtype} that can be written to"
    _require_kind(call, out, must, f"use numpy.empty({shape}, '{dtype}')")
    if out.shape != shape or out.dtype != dtype:
        given = f"one of shape {out.shape} and dtype {out.dtype}"
        raise checks.refusal(call, "out", must, given, "make another")


def check_place(call: str, out: Any, scheme: Scheme, encoding: Encoding) -> None:
    """Refuse what is no place for a scheme's answer, as far as is known of it before there are results."""
    if isinstance(scheme, HedgedScheme):
        given = f"a {type(out).__name__}"
        raise checks.refusal(call, "out", "be left out where outputs are picked", given, "take the answer's value")
    if encoding.result is None:
        _require_kind(call, out, "be an array that can be written to", "leave it out for one that suits")
        return
    spec = scheme.layout(encoding.result).spec
    require_place(call, out, spec.shape, spec.dtype)


def _require_kind(call: str, out: Any, must: str, remedy: str) -> None:
    if not isinstance(out, np.ndarray | FileMatrix | ClusterArray):
        raise checks.refusal(call, "out", must, f"a {type(out).__name__}", remedy)
    checks.place(call, "out", out)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise checks.refusal(call, "out", must, "a read-only one", "make another")
