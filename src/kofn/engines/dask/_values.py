"""Single values that lie at Dask workers: futures, delayed objects, and references to what was kept there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from ..._base._envelope import error_line
from ...checks import refusal
from .._references import Ref
from ._hold import Hold
from ._travel import Travel

if TYPE_CHECKING:
    from distributed import Client, Future

CALL, NAME = "refer", "values"


def referred(values: Sequence[Any], client: Client, travel: Travel) -> list[Ref | None]:
    """References to the values of futures and delayed objects, and the references among them as they are now.

    Delayed objects are computed first, all at once, at the workers. Their owners keep what is theirs.
    """
    futures = _futures_of(values, client)
    for future in futures.values():
        _require_there(future, client)
    sizes = client.nbytes([future.key for future in futures.values()], summary=False) if futures else {}
    holds = {at: Hold(future.key, future, "", travel.spent, is_ours=False) for at, future in futures.items()}
    own = {at: value for at, value in enumerate(values) if isinstance(value, Ref) and isinstance(value.handle, Hold)}
    asked = [*holds.values(), *(ref.handle for ref in own.values())]
    holders = client.sync(travel.watched, lambda: travel.locate(asked)) if asked else {}
    load = Counter(dict.fromkeys(travel.index.values(), 0))
    found: list[Ref | None] = [None] * len(values)
    for at, hold in holds.items():
        size = sizes.get(hold.key, 0)
        worker = _settle(hold, holders[hold.key], travel, load)
        load[worker] += size
        found[at] = Ref(str(hold.key), worker, None, hold, size)
    travel.pin_soon([hold for hold in holds.values() if hold.address and len(holders[hold.key]) > 1])
    for at, ref in own.items():
        worker = travel.index.get(ref.handle.address, ref.worker)
        found[at] = Ref(ref.key, worker, ref.spec, ref.handle, ref.size)
    return found


def _settle(hold: Hold, addresses: Sequence[str], travel: Travel, load: Counter[int]) -> int:
    """The worker, of those that have a value, that has been counted on for least; any where none of the pool's has."""
    places = {travel.index[address]: address for address in addresses if address in travel.index}
    worker = min(places or load, key=load.__getitem__)
    hold.address = places.get(worker, "")
    return worker


def _futures_of(values: Sequence[Any], client: Client) -> dict[int, Future]:
    """The future of each value that has one, by its place."""
    from dask.delayed import Delayed
    from distributed import Future

    found = {at: value for at, value in enumerate(values) if isinstance(value, Future)}
    lazy = {at: value for at, value in enumerate(values) if isinstance(value, Delayed)}
    made = client.persist(list(lazy.values())) if lazy else []
    found.update((at, dict(one.__dask_graph__())[one.key]) for at, one in zip(lazy, made, strict=True))
    _require_own(list(found.values()), client)
    return found


def _require_own(futures: Sequence[Future], client: Client) -> None:
    if any(future.client is not client for future in futures):
        must, given = "be of the pool's own client", "a future of another client"
        raise refusal(CALL, NAME, must, given, "make it with this client, or pass the other as workers=")


def _require_there(future: Future, client: Client) -> None:
    """Wait for a value, and refuse what will never be one."""
    error = None if future.status in ("cancelled", "lost") else future.exception()
    if future.status in ("cancelled", "lost") or isinstance(error, CancelledError):
        raise _gone(f"a future that is {future.status}: {future.key}")
    if error is not None:
        given = f"a future that ended with {error_line(error)}"
        raise refusal(CALL, NAME, "be there", given, "see what its task raised, and compute it again") from error


def _gone(given: str) -> Exception:
    return refusal(CALL, NAME, "be there", given, "compute it again")
