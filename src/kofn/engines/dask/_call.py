"""One call at one worker of a Dask cluster: what it needs is brought there, then it is submitted, its end fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from ...arrays._spec import ArraySpec
from .._future import Promise
from .._pickling import BufferedPickle
from ._hold import Hold, known, lost
from ._travel import Travel, get
from ._worker import kept_key, perform

if TYPE_CHECKING:
    from distributed import Future

INLINE = 1 << 20
"""Bytes up to which a task travels inside its message; what is larger is scattered to the worker first."""

RELEASE = 0.1
"""Seconds after which a fetched result is released at the latest."""

LOOKS = 5
"""How often a task is given to its worker that does not find there what was there a moment ago."""


class Call(NamedTuple):
    """A function and its arguments, packed; the references among them; and whether the result stays at the worker."""

    name: str
    payload: BufferedPickle
    holds: dict[str, Hold]
    is_kept: bool


@dataclass
class DaskPlacedValue:
    """A value placed at a worker, kept for replay; ``future`` is Dask's handle on it at ``address``."""

    payload: BufferedPickle
    address: str = ""
    future: Future | None = None


class Spent:
    """The newest result of a worker, whose future is let go a little later.

    A client sends at most once in 10 ms: let go at once, each result would hold up the task that follows it; it is let
    go together with that task.
    """

    future: Future | None = None

    def leave(self, future: Future) -> None:
        """Let go of ``future`` with the next task, or soon."""
        self.future = future
        asyncio.get_running_loop().call_later(RELEASE, self._release, future)

    def _release(self, future: Future) -> None:
        if self.future is future:
            self.future = None


class DaskCall(Promise):
    """One call at one worker; its key is like no other, so equal calls stay two."""

    def __init__(self, call: Call, residents: Sequence[DaskPlacedValue], travel: Travel, spent: Spent) -> None:
        super().__init__()
        self.call = call
        self.residents = residents
        self.travel = travel
        self.client = travel.client
        self.spent = spent
        self.key = f"kofn-{call.name}-{uuid4().hex}"

    async def outcome(self, address: str) -> tuple[str, Any]:
        """Have it done by the worker at ``address``."""
        for _ in range(LOOKS):
            held = await self._brought(address)
            kind, answer = await self._performed(address, {name: hold.key for name, hold in held.items()})
            if kind != "missing":
                return (kind, self._hold(address, *answer)) if kind == "kept" else (kind, answer)
            self.call.holds[answer].address = ""
        raise lost(answer)

    def _hold(self, address: str, about: Any, size: int) -> tuple[Hold, ArraySpec | None, int]:
        key = kept_key(self.key)
        return Hold(key, known(self.client, key), address), about and ArraySpec(*about), size

    async def _brought(self, address: str) -> dict[str, Hold]:
        """What the references mean at this worker."""
        if not self.call.holds:
            return {}
        brought = await asyncio.gather(*(self.travel.bring(hold, address) for hold in self.call.holds.values()))
        return dict(zip(self.call.holds, brought, strict=True))

    async def _performed(self, address: str, needs: dict[str, str]) -> tuple[str, Any]:
        if self.is_claimed:
            return "refused", None
        residents = [await self._place(resident, address) for resident in self.residents]
        payload = self.call.payload
        call = payload if payload.size <= INLINE else await self._scatter(payload, address)
        if self.is_claimed:
            return "refused", None
        future = self.client.submit(
            perform, self.key, call, needs, self.client.id if self.call.is_kept else "", *residents,
            key=self.key, workers=[address], allow_other_workers=False, pure=False, retries=0,
        )  # fmt: skip
        self.spent.future = None
        error = await future.exception()
        if error is not None or future.status != "finished":
            raise error or CancelledError()
        done = self.is_claimed and not self.call.is_kept  # or it is not known whether anything is to be released
        outcome: tuple[str, Any] = ("refused", None) if done else await get(self.client, future.key, address)
        self.spent.leave(future)
        return outcome

    async def _place(self, resident: DaskPlacedValue, address: str) -> Future:
        """Scatter a resident value unless this very process holds it."""
        future = resident.future
        if future is None or resident.address != address or future.status != "finished":
            future = resident.future = await self._scatter(resident.payload, address)
            resident.address = address
        return future

    async def _scatter(self, payload: BufferedPickle, address: str) -> Future:
        return await self.client.scatter(payload, workers=[address], broadcast=False, hash=False)
