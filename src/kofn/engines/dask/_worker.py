"""What runs at a Dask worker: one task, told apart by its key so that it can be refused before it begins."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ... import checks
from ..._base._envelope import Envelope
from .._cancellation import running_with
from .._future import pack_result
from .._pickling import BufferedPickle
from .._references import Ref, with_values
from ._keeping import Missing, keep, values_here
from ._outcomes import tell

Outcome = tuple[Literal["value", "kept", "missing", "failed", "refused"], Any]

_lock = threading.Lock()
_begun: dict[str, threading.Event] = {}
_refused: deque[str] = deque(maxlen=1000)


def perform(
    key: str, call: BufferedPickle, needs: Mapping[str, str], client: str, is_kept: bool, *residents: BufferedPickle
) -> Outcome:
    """Run the task in ``call``, unless it was refused; its exceptions are results to Dask, as envelopes.

    Parameters
    ----------
    key : str
    call : BufferedPickle
        Of the function and its arguments.
    needs : mapping
        Where this worker has what the references among the arguments stand for.
    client : str
        Who is told of a small outcome at once; nobody if this is empty.
    is_kept : bool
        Whether the result stays at this worker, for the client.
    *residents : BufferedPickle
        What comes before the arguments.

    Examples
    --------
    >>> kind, value = perform("task-1", BufferedPickle.of((sum, ([1, 2],))), {}, "", False)
    >>> kind, BufferedPickle(*value).open()
    ('value', 3)
    """
    outcome = _performed(key, call, needs, client if is_kept else "", residents)
    if client:
        tell(client, key, outcome)
    return outcome


def _performed(
    key: str, call: BufferedPickle, needs: Mapping[str, str], client: str, residents: Sequence[BufferedPickle]
) -> Outcome:
    with _lock:
        if key in _refused:
            return "refused", None
        token = _begun.setdefault(key, threading.Event())
    try:
        values = values_here(needs)
        function, arguments = call.open()
        if values:
            arguments = with_values(arguments, lambda ref: _as_told(ref, values[ref.key]))
        with running_with(token):
            value = function(*(resident.view() for resident in residents), *arguments)
        if client:
            about = keep(value, key, kept_key(key), client)
            return ("kept", about) if about else ("refused", None)
        # As plain tuples: Dask takes two to three times longer to fetch an object of a class of ours.
        return "value", pack_result(value, BufferedPickle.of).plain()
    except Missing as missing:
        return "missing", missing.args[0]
    except BaseException as error:
        return "failed", pickle.dumps(Envelope(error))
    finally:
        del _begun[key]


def _as_told(ref: Ref, value: Any) -> Any:
    """A value whose shape is what a Dask array says of its chunk: products of others would be cut off or repeated."""
    shape = getattr(value, "shape", None)
    if ref.spec is not None and shape is not None and shape != ref.spec.shape:
        must, remedy = "hold chunks of the sizes that it says", "give map_blocks the chunks of what it returns"
        raise checks.refusal("kofn", "the Dask array", must, f"{shape} in place of {ref.spec.shape}", remedy)
    return value


def kept_key(key: str) -> str:
    """Under which key the result of a task stays.

    Examples
    --------
    >>> kept_key("kofn-ones-1f")
    'kofn-ones-1f-kept'
    """
    return f"{key}-kept"


def refuse(key: str) -> bool:
    """Keep a task that is queued from running; False if it has begun, and can only be told so.

    Examples
    --------
    >>> refuse("task-2"), perform("task-2", BufferedPickle.of(None), {}, "", False)
    (True, ('refused', None))
    """
    with _lock:
        if key in _begun:
            _begun[key].set()
            return False
        _refused.append(key)
        return True


def end_process() -> None:
    """End this worker process at once, whatever runs in it; its nanny starts another."""
    os._exit(1)
