"""Whether a worker is importing a module: it must not start workers then, for each would import that module again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_stack
from types import FrameType

from ..errors import ArgumentError


class _Here:
    """What this process is."""

    worker = False
    loading = 0


def become_worker() -> None:
    """Take note that this process is a worker of kofn."""
    _Here.worker = True


@contextmanager
def loading() -> Iterator[None]:
    """Mark the time in which something sent is unpickled, which imports what it needs."""
    _Here.loading += 1
    try:
        yield
    finally:
        _Here.loading -= 1


def is_loading() -> bool:
    """Whether this process unpickles what was sent, or any of its threads is in the middle of an import."""
    return bool(_Here.loading) or any(map(_imports, sys._current_frames().values()))


def _imports(innermost: FrameType) -> bool:
    return any(frame.f_globals.get("__name__") == "importlib._bootstrap" for frame, _ in walk_stack(innermost))


def refuse_while_importing(call: str) -> None:
    """Refuse to start processes in a worker that is importing; what a task does when it runs is its own affair.

    Examples
    --------
    >>> refuse_while_importing("kofn.map")
    >>> with loading():
    ...     refuse_while_importing("kofn.map")
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.map: 'workers' cannot be started while a worker imports a module, for ...
    """
    module = _imported()
    if module is None:
        return
    error = ArgumentError(
        f"'workers' cannot be started while a worker imports {module}, for each would import it and start more; "
        'do that in a function, or under `if __name__ == "__main__":`.'
    )
    error.call = call
    raise error


def _imported() -> str | None:
    """What a worker imports just now, as text; None elsewhere."""
    process = sys.modules.get("multiprocessing.process")
    # Of multiprocessing: preparing a child, it runs the script once more.
    preparing = process is not None and getattr(process.current_process(), "_inheriting", False)
    child = process is not None and process.parent_process() is not None
    name = _module_on_stack(sys._getframe()) if child or _Here.worker or _Here.loading else None
    if name is not None:
        return f"{name!r}"
    return "the script" if preparing else "a module" if _Here.loading else None


def _module_on_stack(innermost: FrameType) -> str | None:
    for frame, _ in walk_stack(innermost):
        names = frame.f_globals
        if frame.f_code.co_name == "_bootstrap" and names.get("__name__") == "multiprocessing.process":
            return None  # what is further out ran before this process was forked
        if frame.f_code.co_name == "<module>" and getattr(names.get("__spec__"), "_initializing", False):
            return str(names.get("__name__"))
    return None
