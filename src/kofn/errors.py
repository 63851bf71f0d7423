"""Every exception that kofn raises on purpose.

::

    KofnError
     ├── ArgumentError (ValueError)      what the caller gave cannot work; nothing was started
     │    └── FileError                  a file that cannot be read or written as asked
     ├── CallError (TypeError)           arguments that the call does not take, such as a keyword of before
     ├── CodeError (ValueError)          a code whose mathematics does not hold
     ├── NotDecodable                    too little can arrive; carries the best estimate
     ├── Corrupted                       results contradict each other; carries the rows that may be wrong
     ├── WorkerError                     something went wrong at a worker
     │    ├── TaskError                  the task's function raised; carries worker, row, traceback
     │    │    ├── TermError             a term of a sum raised or cannot be added; carries its index
     │    │    └── FunctionError         a function raised, or its values do not fit together
     │    ├── WorkerLost                 the worker died or cannot be reached
     │    └── ReferenceLost              what a task needs was lost with the worker that had it
     ├── NotDifferentiable (RuntimeError) an estimate has no derivative that PyTorch could be given
     ├── PoolClosed (RuntimeError)       the pool was closed before or during the call
     ├── Cancelled (CancelledError)      the job was cancelled
     ├── MissingPackage (ImportError)    a package that this needs is not installed
     └── StaysHere (TypeError)           what can be neither pickled nor copied, as it holds workers

    KofnWarning (UserWarning)        base of every warning
     ├── LeftOut                         a worker that was wrong in several jobs is given nothing more
     └── kofn.torch.LeftExact            layers that cannot be coded are computed as they are

All of them can be pickled and copied, with everything that they carry; ``__cause__`` stays behind, as Python has it.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


class KofnError(Exception):
    """Base of every exception that kofn raises on purpose.

    Attributes
    ----------
    call : str
        What the user called, where it is known; the sentence starts with it.

    Examples
    --------
    >>> import pickle
    >>> error = pickle.loads(pickle.dumps(TermError("term 3 raised", worker=1, row=2, term=3)))
    >>> error, error.term
    (TermError('term 3 raised'), 3)
    """

    call = ""

    def __str__(self) -> str:
        sentence = super().__str__()
        return f"{self.call}: {sentence}" if self.call else sentence

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class with ``args``, as exceptions are: what else it wants is in the state.
        return copyreg.__newobj__, (type(self), *self.args), *super().__reduce__()[2:]  # type: ignore[attr-defined]


class ArgumentError(KofnError, ValueError):
    """An argument cannot work; raised before anything is started or changed."""


class FileError(ArgumentError):
    """A file cannot be read or written as asked; existing files are untouched."""


class CallError(KofnError, TypeError):
    """A call with arguments that it does not take, such as a keyword that is none; nothing was started or changed."""


class CodeError(KofnError, ValueError):
    """The matrices of a code contradict each other or what is asked of them."""


class NotDecodable(KofnError):
    """No answer can come: everything that could arrive has arrived, or the deadline passed with nothing.

    Attributes
    ----------
    estimate : Answer or None
        The best estimate from whatever arrived; None when nothing did.
    """

    def __init__(self, message: str, estimate: Any = None) -> None:
        super().__init__(message)
        self.estimate = estimate


class Corrupted(KofnError):
    """Some results are wrong, and it is not certain which.

    Attributes
    ----------
    candidates : sequence of int
        Rows that may be wrong.
    """

    def __init__(self, message: str, candidates: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class WorkerError(KofnError):
    """Something went wrong at a worker.

    Attributes
    ----------
    worker : int
        Which worker, counted from 0.
    row : int or None
        The row of the code that it was working on, where known.
    """

    def __init__(self, message: str, worker: int, row: int | None = None) -> None:
        super().__init__(message)
        self.worker = worker
        self.row = row


class TaskError(WorkerError):
    """The function of a task raised; the original exception is ``__cause__``.

    Attributes
    ----------
    traceback : str
        The traceback as the worker saw it.
    """

    def __init__(self, message: str, worker: int, row: int | None = None, traceback: str = "") -> None:
        super().__init__(message, worker, row)
        self.traceback = traceback


class TermError(TaskError):
    """A term of a sum raised, or returned what cannot be added to the others.

    Attributes
    ----------
    term : int
        Its index, counted from 0; -1 where the row that failed adds up several and it is not known which.
    """

    def __init__(
        self, message: str, worker: int, row: int | None = None, traceback: str = "", *, term: int = -1
    ) -> None:
        super().__init__(message, worker, row, traceback)
        self.term = term


class FunctionError(TaskError):
    """A function evaluated for `kofn.map` raised, or returned what other results cannot be combined with.

    Attributes
    ----------
    input : int or None
        Index of the input, counted from 0; None where f was evaluated at a mixture of inputs.
    """

    def __init__(
        self, message: str, worker: int, row: int | None = None, traceback: str = "", *, input: int | None = None
    ) -> None:
        super().__init__(message, worker, row, traceback)
        self.input = input


class WorkerLost(WorkerError):
    """The worker died, was killed, or cannot be reached; its rows can go to others."""


class ReferenceLost(WorkerError):
    """A value that lay at a worker is gone with it; whoever knows how it was made can make it again elsewhere."""


class NotDifferentiable(KofnError, RuntimeError):
    """A derivative was asked for of what is an estimate; PyTorch's own refusals are a RuntimeError, too."""


class PoolClosed(KofnError, RuntimeError):
    """The pool was closed before or during the call."""


class Cancelled(KofnError, CancelledError):
    """The job was cancelled, so it has no result."""


class MissingPackage(KofnError, ImportError):
    """A package that this needs, and kofn can do without, is not installed; ``name`` is its name."""


class StaysHere(KofnError, TypeError):
    """It holds workers, a job or memory of this process, so it can be neither pickled nor copied."""


class KofnWarning(UserWarning):
    """Base of every warning that kofn gives, for `warnings.filterwarnings`."""


class LeftOut(KofnWarning):
    """A worker returned wrong results (``verify=``) in several jobs, and its pool gives it nothing more."""


PACKAGES = {
    "PIL": ("Pillow", "pillow"),
    "distributed": ("Dask", "kofn[dask]"),
    "hypothesis": ("Hypothesis", "kofn[testing]"),
    "joblib": ("joblib", "kofn[sklearn]"),
    "matplotlib": ("matplotlib", "kofn[plot]"),
    "mpi4py": ("mpi4py", "kofn[mpi]"),
    "ray": ("Ray", "kofn[ray]"),
    "safetensors": ("safetensors", "kofn[torch]"),
    "sklearn": ("scikit-learn", "kofn[sklearn]"),
    "torch": ("PyTorch", "kofn[torch]"),
    "shtab": ("shtab", "kofn[completion]"),
    "tqdm": ("tqdm", "kofn[progress]"),
    "zarr": ("Zarr", "kofn[zarr]"),
}
"""What kofn can do without: module, name, and what to install."""


@contextmanager
def require(what: str, package: str, extra: str = "") -> Iterator[None]:
    """Import within what ``what`` cannot do without, or raise `MissingPackage`, which says what to install.

    Parameters
    ----------
    what : str
        As the sentence begins, such as ``"drawing"``.
    package : str
        A module named in `PACKAGES`.
    extra : str, optional
        What to install instead of what that table says.

    Examples
    --------
    >>> import sys
    >>> sys.modules["safetensors"] = None  # as if it were not installed
    >>> with require("a file of a learned code", "safetensors"):
    ...     import safetensors
    Traceback (most recent call last):
    kofn.errors.MissingPackage: a file of a learned code needs safetensors; install it with pip install 'kofn[torch]'.
    >>> del sys.modules["safetensors"]
    """
    try:
        yield
    except ImportError as error:
        if (error.name or package).split(".")[0] == package:
            raise missing_package(what, package, extra=extra) from error
        name, install = PACKAGES[package][0], _to_install([package], extra)  # it is there, and broken
        sentence = f"{what} needs {name}, which cannot be imported: {error}; pip install {install} may mend it."
        raise MissingPackage(sentence, name=package) from error


def require_installed(what: str, *packages: str, extra: str = "") -> None:
    """Raise `MissingPackage` at once where some of the packages are not there, and name all that are not.

    Parameters
    ----------
    what, extra : str
        As for `require`.
    *packages : str
        Modules named in `PACKAGES`.

    Examples
    --------
    >>> require_installed("a product", "numpy")  # which is there
    """
    if lacking := [package for package in packages if find_spec(package) is None]:
        raise missing_package(what, *lacking, extra=extra)


def missing_package(what: str, *packages: str, extra: str = "") -> MissingPackage:
    """Build (not raise) the exception for packages that are not there.

    Parameters
    ----------
    what, extra : str
        As for `require`.
    *packages : str

    Examples
    --------
    >>> print(missing_package("a figure of training", "matplotlib", "torch"))
    a figure of training needs matplotlib and PyTorch; install them with pip install 'kofn[plot,torch]'.
    """
    *others, last = (PACKAGES[package][0] for package in packages)
    names = f"{', '.join(others)} and {last}" if others else last
    sentence = f"{what} needs {names}; install {'them' if others else 'it'} with pip install"
    return MissingPackage(f"{sentence} {_to_install(packages, extra)}.", name=packages[0])


def _to_install(packages: Sequence[str], extra: str) -> str:
    wanted = dict.fromkeys(PACKAGES[package][1] for package in packages)
    extras = ",".join(name[5:-1] for name in wanted if name.startswith("kofn["))
    own = extra or (extras and f"kofn[{extras}]")
    return " ".join([f"'{own}'"] * bool(own) + [name for name in wanted if not name.startswith("kofn[")])
