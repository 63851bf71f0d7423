"""A backend for joblib, so that what takes ``n_jobs`` runs on workers of kofn and waits for no straggler.

Importing this module needs joblib, which comes with scikit-learn: ``pip install 'kofn[sklearn]'``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from . import checks
from ._base._closeable import at_end
from ._base._machine import processors
from ._base._travel import Staying
from .engines import LocalPool
from .engines._protocol import capabilities_of
from .errors import ArgumentError, PoolClosed, require
from .jobs._lease import PoolLease
from .jobs.calls._crew import Crew
from .jobs.calls._loop import CallLoop, Result
from .jobs.calls._words import own_failure

with require("kofn.joblib", "joblib"):
    from joblib import register_parallel_backend
    from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

CALL = "kofn.joblib.Backend"
NAME = "kofn"


def register() -> None:
    """Let joblib know the backend under the name ``"kofn"``.

    Examples
    --------
    >>> import joblib, kofn.joblib
    >>> kofn.joblib.register()
    >>> with joblib.parallel_config(backend="kofn", n_jobs=2):
    ...     joblib.Parallel()(joblib.delayed(abs)(x) for x in (-1, 2, -3))
    [1, 2, 3]
    """
    register_parallel_backend(NAME, Backend)


class Backend(Staying, AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs what joblib is asked to run on workers of kofn, for any number of calls one after another.

    A worker with nothing else to do repeats what another one is late with; what one that dies had goes to others; one
    that hangs is ended where its engine can (`kofn.LocalPool`). So a call may be made more than once.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.map`. By default as many local processes as ``n_jobs`` says, which are kept for the next call and
        end with this.
    nesting_level, inner_max_num_threads, **options
        As joblib has them; the second is how many threads of BLAS and OpenMP each process of its own may use.

    Examples
    --------
    >>> import joblib, kofn.joblib
    >>> with kofn.ThreadPool(2) as pool, joblib.parallel_config(backend=kofn.joblib.Backend(pool)):
    ...     joblib.Parallel()(joblib.delayed(len)(word) for word in ("a", "bc"))
    [1, 2]
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1

    def __init__(
        self,
        workers: Any = None,
        *,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **options)
        self._given = None if workers is None else PoolLease(workers, CALL)
        self._teams: list[_Team] = []  # one, or none
        at_end(self, _let_go, self._teams, _end if self._given is None else self._given.close)
        threads = self._given is not None and capabilities_of(self._given.pool).by_reference
        self.uses_threads = self.supports_sharedmem = threads

    @property
    def _team(self) -> _Team | None:
        """The one that there is."""
        return self._teams[0] if self._teams else None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at the same time: at most as many as there are workers, where these were given."""
        if n_jobs == 0:
            raise checks.refusal(CALL, "n_jobs", "be an int other than 0", 0, "use -1 for all processors")
        if n_jobs is None:
            return 1
        most = processors() if self._given is None else self._given.n
        if n_jobs < 0:
            return max(1, most + 1 + n_jobs)
        return n_jobs if self._given is None else min(n_jobs, most)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Be ready for a call of joblib with so many jobs; the workers of the last one are taken where they fit."""
        size = self.effective_n_jobs(n_jobs)
        if size == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        if self._team is None or not self._team.fits(size):
            self._let_go()
            self._teams.append(_Team(self._given, size, self.inner_max_num_threads))
        return size

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None) -> Future[Any]:
        """Have a batch of calls made, and ``callback(future)`` called when it has come to an end."""
        if self._team is None:
            raise PoolClosed(f"{CALL}: it was closed; configure it first")
        return self._team.submit(func, callback)

    apply_async = submit
    """What joblib called it before 1.5."""

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch that has come to its end, or what its calls raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Want nothing any more of what was submitted."""
        if self._team is not None:
            self._team.drop()
        self.reset_batch_stats()

    def terminate(self) -> None:
        """Forget how long batches took; the workers stay for the next call."""
        self.reset_batch_stats()

    def close(self) -> None:
        """End what runs, and the workers that were started here, for good; safe to call twice."""
        self._let_go()
        if self._given is not None:
            self._given.close()

    def _let_go(self) -> None:
        if self._team is not None:
            self._team.close()
            self._teams.clear()


class _Team:
    """So many workers, and the batches that they have."""

    def __init__(self, given: PoolLease | None, size: int, threads: int | None) -> None:
        self._size, self._numbers = size, count()
        self._own = LocalPool(size, threads_per_worker=threads) if given is None else None
        lease = PoolLease(self._own, CALL) if given is None else given
        self._futures: dict[int, Future[Any]] = {}
        try:
            loop = CallLoop(lease.pool, lease.placement, run_batch, size)
            self._crew = Crew(loop, partial(_settle, self._futures))
        except BaseException:
            self._end_own()
            raise

    def fits(self, size: int) -> bool:
        """Whether these are as many as that, and still there."""
        return size == self._size and getattr(self._crew.loop.pool, "is_open", True) and self._crew.loop.is_here

    def submit(self, batch: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None) -> Future[Any]:
        """Have a batch made."""
        number, future = next(self._numbers), Future[Any]()
        self._futures[number] = future
        if callback is not None:
            future.add_done_callback(callback)
        self._crew.add([(number, (batch,))])
        return future

    def drop(self) -> None:
        """Want nothing any more of what was submitted; it is cancelled."""
        dropped: list[tuple[int, Future[Any]]] = []
        with suppress(KeyError):  # none is left; the crew takes out those that have come
            while True:
                dropped.append(self._futures.popitem())
        self._crew.drop(number for number, _ in dropped)
        for _, future in dropped:
            future.cancel()

    def close(self) -> None:
        """End it all."""
        self._crew.close()
        self._end_own()

    def let_go(self, then: Callable[[], object]) -> None:
        """The same for whoever must not wait; ``then`` is called in the end."""
        self._crew.let_go(partial(self._end_own, then))

    def _end_own(self, then: Callable[[], object] | None = None) -> None:
        if self._own is not None:
            self._own.close()
        if then is not None:
            then()


def run_batch(batch: Callable[[], Any]) -> Any:
    """What a worker does for joblib.

    Examples
    --------
    >>> run_batch(lambda: [1, 2])
    [1, 2]
    """
    return batch()


def _settle(futures: dict[int, Future[Any]], result: Result) -> None:
    """End the future of a batch, unless it was dropped."""
    future = futures.pop(result.number, None)
    if future is None or not future.set_running_or_notify_cancel():
        return
    if result.failure is None:
        future.set_result(result.value)
    elif isinstance(result.failure, ArgumentError):
        cause = result.failure.__cause__ or result.failure
        error = pickle.PicklingError(f"a call of joblib cannot be sent to workers: {cause}")
        error.__cause__ = cause
        future.set_exception(error)
    else:
        future.set_exception(own_failure(result, CALL))


def _let_go(teams: list[_Team], then: Callable[[], object]) -> None:
    """Let go of a team, and call ``then`` once its thread needs nothing any more."""
    if teams:
        teams[0].let_go(then)
    else:
        then()


def _end() -> None:
    """What there is to end where no workers were given."""
