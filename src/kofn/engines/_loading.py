"""What jobs import when they first need it, loaded before anybody waits for an answer in time.

Importing kofn loads NumPy and nothing heavier. What a job may need beside, also for an estimate once its deadline has
passed, is loaded when workers are there and before the job's time begins.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

NEEDED = ("cloudpickle", "scipy.linalg", "scipy.sparse", "threadpoolctl", "kofn.codes.decoding._sparse")


@cache
def load() -> None:
    """Load all of it, once in a process.

    Examples
    --------
    >>> import sys
    >>> load()
    >>> "scipy.sparse" in sys.modules
    True
    """
    for name in NEEDED:
        import_module(name)
