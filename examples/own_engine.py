"""An engine of one's own: workers behind any command that starts Python, such as ``ssh host python3``.

    python examples/own_engine.py "ssh first python3" "ssh second python3"     # or without any: three Pythons here

kofn must be installed wherever a command leads. A worker whose process ends gets another one, with its data.
"""

import pickle
import shlex
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from subprocess import PIPE, Popen

import numpy as np

import kofn
from kofn import engines
from kofn.engines import Promise, Stop, WorkerState

PROGRAM = """
import os, pickle, sys
from kofn.engines import run_pickled
source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what tasks print goes where errors go
pickle.dump("ready", sink)
while sink.flush() is None and source.peek(1):
    pickle.dump(run_pickled(*pickle.load(source)), sink)
"""


class Worker:
    """One process after another, the thread that talks to them, the task under way, and what is resident there."""

    def __init__(self, index, command):
        self.index, self.command = index, [*command, "-c", shlex.quote(PROGRAM) if command[0] == "ssh" else PROGRAM]
        self.lock, self.inbox, self.residents = threading.RLock(), SimpleQueue(), {}
        self.state, self.task, self.process, self.tries = WorkerState.STARTING, None, None, 0
        threading.Thread(target=self.serve, name=f"kofn-command-{index}", daemon=True).start()

    def serve(self):
        while self.state is not WorkerState.DEAD:
            self.tries += 1
            ends = suppress(EOFError, OSError, pickle.UnpicklingError)
            with ends, Popen(self.command, stdin=PIPE, stdout=PIPE) as self.process:
                self.talk(self.process.stdin, self.process.stdout)
            task = self.turn(WorkerState.STARTING if self.tries < 3 else WorkerState.DEAD)
            task.fail(kofn.WorkerLost(f"worker {self.index}: its process has ended", self.index))

    def talk(self, stdin, stdout):
        pickle.load(stdout)
        self.tries = 0
        self.turn(WorkerState.IDLE)
        while (message := self.inbox.get()) is not None:
            pickle.dump(message, stdin)
            stdin.flush()
            ok, answer = pickle.load(stdout)
            self.turn(WorkerState.IDLE).take(ok, lambda answer=answer: pickle.loads(answer))

    def turn(self, state):
        """Go over to another state, unless dead for good, and give back the task to be ended."""
        with self.lock:
            self.state = WorkerState.DEAD if self.state is WorkerState.DEAD else state
            task, self.task = self.task, None
            return task or Promise()


class CommandPool(engines.Engine):
    """A worker for each command; its task cannot be interrupted, but it can be killed."""

    capabilities = engines.Capabilities(revives=True)

    def __init__(self, *commands):
        super().__init__()
        self.workers = [Worker(index, shlex.split(command)) for index, command in enumerate(commands)]
        self.n, self.empty = len(commands), np.empty

    def at(self, call, worker):
        self.require_open(call)
        return self.workers[engines.check_worker(call, worker, self.n)]

    def put(self, worker, key, value):
        packed = engines.pack_argument("put", "value", value, engines.dumps)
        self.at("put", worker).residents[engines.check_key("put", key)] = packed

    def drop(self, key):
        for worker in self.workers:
            worker.residents.pop(engines.check_key("drop", key), None)

    def submit(self, worker, function, *arguments, keys=()):
        at, task = self.at("submit", worker), Promise()
        engines.check_task(function, keys)
        call = engines.pack_argument("submit", "function and arguments", (function, arguments), engines.dumps)
        with at.lock:
            self.require_open("submit")
            residents = engines.resident_values(worker, keys, at.residents)
            if at.state is not WorkerState.IDLE:
                error = kofn.WorkerLost if at.state is WorkerState.DEAD else kofn.WorkerError
                raise error(f"worker {worker} is {at.state} and takes no task", worker)
            at.state, at.task = WorkerState.BUSY, task
            at.inbox.put((call, residents))
        task.when_cancelled(lambda _: None)  # it runs on, and nobody waits for it
        return task.future

    def stop(self, worker, how):
        at, kill = self.workers[engines.check_worker("stop", worker, self.n)], engines.check_stop(how) is Stop.KILL
        with at.lock:
            if (task := at.task) is None:
                return Stop.NOTHING
            if kill:
                at.process.kill()
        task.cancel()
        return Stop.KILL if kill else Stop.ABANDON

    def state(self, worker):
        return self.workers[engines.check_worker("state", worker, self.n)].state

    def close(self):
        super().close()
        for worker in self.workers:
            task = worker.turn(WorkerState.DEAD)
            worker.inbox.put(None)
            if worker.process is not None:
                worker.process.kill()
            task.fail(kofn.PoolClosed("the pool was closed while the task ran"))


def main(*commands):
    with CommandPool(*commands or [sys.executable] * 3) as pool:
        return kofn.matmul(np.ones((600, 300)), np.ones((300, 200)), workers=pool, code="mds")


if __name__ == "__main__":
    print(main(*sys.argv[1:]).report)
