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

DISOWNED = 1.0
"""Seconds after which nothing can be under way any more of a task that was cancelled."""

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


class DaskCall(Promise):
    """One call at one worker; its key is like no other, so equal calls stay two."""

    def __init__(self, call: Call, residents: Sequence[DaskPlacedValue], travel: Travel) -> None:
        super().__init__()
        self.call = call
        self.residents = residents
        self.travel = travel
        self.client = travel.client
        self.key = f"kofn-{call.name}-{uuid4().hex}"

    async def outcome(self, address: str) -> tuple[str, Any]:
        """Have it done by the worker at ``address``."""
        try:
            return await self._outcome(address)
        except asyncio.CancelledError:
            if self.call.is_kept:  # a value that was stored just then would have nobody to let go of it
                self.client.loop.asyncio_loop.call_later(DISOWNED, known, self.client, kept_key(self.key))
            raise

    async def _outcome(self, address: str) -> tuple[str, Any]:
        for _ in range(LOOKS):
            held = await self._brought(address)
            kind, answer = await self._performed(address, {name: hold.key for name, hold in held.items()})
            if kind != "missing":
                return (kind, self._hold(address, *answer)) if kind == "kept" else (kind, answer)
            missed = self.call.holds[answer]
            missed.address, missed.pin = "", None
            await self.travel.pin(missed, address)
        raise lost(answer)

    def _hold(self, address: str, about: Any, size: int) -> tuple[Hold, ArraySpec | None, int]:
        key = kept_key(self.key)
        hold = Hold(key, known(self.client, key), address, self.travel.spent)
        return hold, about and ArraySpec(*about), size

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
            perform, self.key, call, needs, self.client.id, self.call.is_kept, *residents,
            key=self.key, workers=[address], allow_other_workers=False, pure=False, retries=0,
        )  # fmt: skip
        self.travel.spent.let_go()
        outcome = await self._told(future) or await self._fetched(future, address)
        if outcome[0] == "missing":
            await future.exception()
            future.release()  # at once: what is submitted under its key once more shall be computed once more
        else:
            self.travel.spent.leave(future)
        return outcome

    async def _told(self, future: Future) -> Any:
        """What is told of the task before Dask tells that it has ended; nothing if that is the first to be heard."""
        ended = asyncio.ensure_future(future.exception())
        try:
            with self.travel.cluster.outcomes.of(self.key) as told:
                await asyncio.wait([told, ended], return_when=asyncio.FIRST_COMPLETED)
                return told.result() if told.done() else None
        finally:
            ended.cancel()

    async def _fetched(self, future: Future, address: str) -> tuple[str, Any]:
        error = await future.exception()
        if error is not None or future.status != "finished":
            raise error or CancelledError()
        if self.is_claimed and not self.call.is_kept:  # else it is not known whether anything is to be released
            return "refused", None
        outcome: tuple[str, Any] = await get(self.client, future.key, address)
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
