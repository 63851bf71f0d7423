"""Builders that are called alike: one class says what they are asked for, and its constructor is their signature."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

from ..checks import named

Call = ParamSpec("Call")
Request = TypeVar("Request")
Built = TypeVar("Built")


def builder(request: Callable[Call, Request]) -> Callable[[Callable[[Request], Built]], Callable[Call, Built]]:
    """Make a builder in `kofn.schemes` of a function of a request: it is called as the request is made.

    Parameters
    ----------
    request : class
        A dataclass; its fields are the parameters of the builder.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Asked:
    ...     rows: int = 2
    >>> @builder(Asked)
    ... def twice(asked):
    ...     return 2 * asked.rows
    >>> twice(rows=3), str(signature(twice))
    (6, "(rows: 'int' = 2)")
    """

    def decorate(build: Callable[[Request], Built]) -> Callable[Call, Built]:
        returned = build.__annotations__.get("return", signature(build).empty)
        shown = signature(request).replace(return_annotation=returned)

        @named(f"kofn.schemes.{build.__name__}")
        @wraps(build)
        def built(*args: Call.args, **options: Call.kwargs) -> Built:
            try:
                shown.bind(*args, **options)
            except TypeError as error:  # the user called the builder, and knows nothing of a request
                raise TypeError(f"{build.__name__}() {error}") from None
            return build(request(*args, **options))

        cast(Any, built).__signature__ = shown
        return built

    return decorate
