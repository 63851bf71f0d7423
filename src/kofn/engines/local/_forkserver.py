"""The fork server: a small process that has NumPy loaded and forks workers on request.

It is started by `subprocess` (`ForkServerClient`), not by `multiprocessing`, so the user's main module is never
imported again and a script needs no ``if __name__ == "__main__"``. It has one thread, so forking is safe; it is the
workers' parent, so it knows which process ids are still theirs, and it ends them all when the client's end of the
connection closes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from ..._base._place import Place
from ._connection import Connection, bell

BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_PR_SET_PDEATHSIG = 1

Key: TypeAlias = tuple[int, int]
"""A slot of the pool, and which process there."""


def main(fd: int, threads: int) -> None:
    """Run the fork server on the socket ``fd`` until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = ForkServer(Connection(socket.socket(fileno=fd)), _prepare(threads))
    try:
        with contextlib.suppress(OSError):  # the client went away while we told it something
            server.run()
    finally:
        server.end()


def _prepare(threads: int) -> Callable[[], None]:
    """Load what every worker needs and return what a worker calls to get its number of BLAS threads."""
    for name in ("numpy", "cloudpickle", "kofn.engines.local._worker"):
        importlib.import_module(name)
    os.environ.update(dict.fromkeys(BLAS_VARIABLES, str(threads)))
    if threads == 1:
        return lambda: None
    import threadpoolctl

    controller = threadpoolctl.ThreadpoolController()
    return lambda: controller.limit(limits=threads) and None


class ForkServer:
    """Forks, kills and reaps workers; each is known by the slot that it serves, and which process there it is."""

    def __init__(self, connection: Connection, set_threads: Callable[[], None]) -> None:
        self.connection = connection
        self.set_threads = set_threads
        self.client = os.getppid()
        self.pids: dict[Key, int] = {}
        self.prctl = _prctl()
        self.woken, self.waker = bell()
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.collect()
        gc.freeze()

    def run(self) -> None:
        """Serve the client until it is gone."""
        self.connection.send(("ready", frozenset(sys.modules) - {"__main__"}))
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        poll.register(self.woken.fileno(), select.POLLIN)
        # A forked child of the client may hold the connection open after the client died; hence the timeout.
        while os.getppid() == self.client:
            poll.poll(1000)
            self.reap()
            try:
                messages = self.connection.poll()
            except EOFError:
                return
            for message, fds in messages:
                self.obey(message, fds)

    def obey(self, message: tuple[Any, ...], fds: list[int]) -> None:
        """Do what the client asks."""
        if message[0] == "spawn":
            _, key, place = message
            self.spawn(key, fds[0], place)
        elif message[1] in self.pids:
            _kill_group(self.pids[message[1]])

    def spawn(self, key: Key, fd: int, place: Place) -> None:
        """Fork a worker on the socket ``fd``."""
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fd)
            self.connection.send(("exit", key, f"could not be forked: {error}"))
            return
        if pid == 0:
            self.become_worker(server, fd, place)
        os.close(fd)
        self.pids[key] = pid

    def become_worker(self, server: int, fd: int, place: Place) -> None:
        """Serve as a worker; never returns."""
        status = 1
        try:
            os.setsid()
            self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if os.getppid() != server:
                raise EOFError
            self.connection.close()
            self.woken.close()
            self.waker.close()
            # Spawn requests read together with this one left the sockets of other workers open here.
            os.closerange(3, fd)
            os.closerange(fd + 1, 1 << 16)
            self.set_threads()
            place.enter()
            if (random := sys.modules.get("numpy.random")) is not None:
                random.seed()  # which would go on as the server's otherwise
            from ._worker import Worker

            Worker(Connection(socket.socket(fileno=fd))).serve()
        except (EOFError, BrokenPipeError):
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def reap(self) -> None:
        """Report the workers that ended, and end what they left running."""
        with contextlib.suppress(BlockingIOError):
            while self.woken.recv(4096):
                pass
        for key, pid in list(self.pids.items()):
            # Looking without reaping keeps the id ours until its group has been killed.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            del self.pids[key]
            self.connection.send(("exit", key, _describe_end(os.waitstatus_to_exitcode(status))))

    def end(self) -> None:
        """Kill and reap every worker."""
        for pid in self.pids.values():
            _kill_group(pid)
        for pid in self.pids.values():
            os.waitpid(pid, 0)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # The child has not made its group yet.
        os.kill(pid, signal.SIGKILL)


def _describe_end(code: int) -> str:
    names = {number.value: number.name for number in signal.Signals}
    return f"ended with exit status {code}" if code >= 0 else f"was ended by signal {names.get(-code, -code)}"


def _prctl() -> Callable[[int, int], object]:
    if sys.platform != "linux":
        return lambda *_: None
    import ctypes

    prctl: Callable[[int, int], object] = ctypes.CDLL(None).prctl
    return prctl
