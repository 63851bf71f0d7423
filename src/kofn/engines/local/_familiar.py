"""What a worker has been through: code that it has run once is loaded there; code that is new to it may have to be.

The first task that needs a module imports it, and that would be lost with the process. So a process that is late with
code that is new to it is asked what it does, and is not ended while it loads; one that runs on without loading anything
is stuck, as far as anybody can tell, and has kept others waiting for long enough.
"""

from __future__ import annotations

from collections.abc import Hashable

from ..._base._pickles import Code

FIRST_RUN_SECONDS = 2.0
"""How long a task that nobody waits for may run on at a worker that is new to its code."""

LOADING_SECONDS = 60.0
"""How long it may run on where the worker says, whenever it is asked, that it imports or unpickles something."""


class Familiar:
    """The code that one worker process has run.

    Examples
    --------
    >>> familiar, modules = Familiar(), frozenset({"builtins"})
    >>> mine = frozenset({("builtins", "len"), ("of_a_user", "f")})
    >>> familiar.covers(mine, modules), familiar.add(mine), familiar.covers(mine, modules)
    (False, None, True)
    """

    def __init__(self) -> None:
        self._code: set[tuple[str, Hashable]] = set()

    def add(self, code: Code) -> None:
        """Take note of what a task that is through referred to."""
        self._code |= code

    def covers(self, code: Code, modules: frozenset[str]) -> bool:
        """Whether none of it is new to a process that began with these modules."""
        return all(module in modules or (module, name) in self._code for module, name in code)
