"""A pytest plugin that tries mutants instead of running tests once: everything is imported and collected a single time.

Each mutant gets a fork of that process, in which the code of the functions that differ is replaced, and the tests that
could notice it are run until one fails. What differs outside functions needs a new process (`trial.in_new_process`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import select
import signal
import time
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

import pytest


class Trial(NamedTuple):
    """What is asked of a fork: a file with another source, and tests, none of which takes so many seconds."""

    name: str
    file: str
    source: bytes
    tests: list[str]
    seconds: float


class Forks:
    """Runs trials once all tests are collected, and writes a line for each."""

    def __init__(self, trials: list[Trial], target: Path) -> None:
        self.trials, self.target = trials, target

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        gc.unfreeze()
        items = {item.nodeid: item for item in session.items}
        functions = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
        gc.freeze()
        with self.target.open("a", encoding="utf-8") as out:
            for trial in self.trials:
                new = replaced(trial, functions)
                outcome = ("elsewhere", "") if new is None else in_fork(trial, new, items)
                print(json.dumps([trial.name, *outcome]), file=out, flush=True)
        return True


def replaced(trial: Trial, functions: list[FunctionType]) -> list[tuple[FunctionType, CodeType]] | None:
    """The functions that differ, with their new code; None where something else does, which runs on import."""
    path = str(Path(trial.file).resolve())
    before = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    after = compile(trial.source, path, "exec", dont_inherit=True)
    old, new = functions_of(before), functions_of(after)
    if [one.co_qualname for one in old] != [one.co_qualname for one in new] or outside(before) != outside(after):
        return None
    differ = {place_of(one): other for one, other in zip(old, new, strict=True) if one != other}
    live = [one for one in functions if one.__code__.co_filename == path and place_of(one.__code__) in differ]
    if not live or {place_of(one.__code__) for one in live} != differ.keys() or len(set(map(place_of, old))) < len(old):
        return None
    found = [(one, differ[place_of(one.__code__)]) for one in live]
    return found if all(one.__code__.co_freevars == code.co_freevars for one, code in found) else None


def place_of(code: CodeType) -> tuple[str, int]:
    """What tells functions of a file apart."""
    return code.co_qualname, code.co_firstlineno


def functions_of(code: CodeType) -> list[CodeType]:
    """The functions and methods of a module, but for those inside of others."""
    parts = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [one for part in parts for one in ([part] if part.co_flags & CO_NEWLOCALS else functions_of(part))]


def outside(code: CodeType) -> list:
    """What a module runs on import, but for the lines that it is in."""
    parts = [
        outside(part) for part in code.co_consts if isinstance(part, CodeType) and not part.co_flags & CO_NEWLOCALS
    ]
    plain = [repr(part) for part in code.co_consts if not isinstance(part, CodeType)]
    return [code.co_code, code.co_names, plain, parts]


def in_fork(trial: Trial, new: list[tuple[FunctionType, CodeType]], items: dict) -> tuple[str, str]:
    """Verdict, and the test that fails."""
    tests = [items[test] for test in trial.tests if test in items]
    if not tests:
        return "survived", "no test runs it"
    before = Path(trial.file).read_bytes()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setpgid(0, 0)
            os.close(reading)
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in (1, 2):
                os.dup2(silent, stream)
            Path(trial.file).write_bytes(trial.source)  # for processes that the tests start
            for function, code in new:
                function.__code__ = code
            os.write(writing, json.dumps([first_failure(tests, writing)]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    answer, end = b"", time.monotonic() + trial.seconds
    try:
        while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
            if not (part := os.read(reading, 1 << 16)):
                break
            answer += part
            end = time.monotonic() + trial.seconds
    finally:
        os.close(reading)
        for ended in (lambda: os.killpg(child, signal.SIGKILL), lambda: os.waitpid(child, 0)):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                ended()
        Path(trial.file).write_bytes(before)
    if not (answer := answer.lstrip(PULSE)):
        return ("killed", "it hangs") if time.monotonic() >= end else ("killed", "the process ends")
    (failed,) = json.loads(answer)
    return ("survived", f"{len(tests)} tests") if failed is None else ("killed", failed)


PULSE = b"."
"""A test has passed."""


class Reports:
    """Whether anything has failed."""

    failed = False

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed


def first_failure(tests: list, writing: int) -> str | None:
    """Run tests until one fails, and tell of each that passes."""
    reports = Reports()
    tests[0].config.pluginmanager.register(reports)
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        if reports.failed:
            return test.nodeid
        os.write(writing, PULSE)
    return None


def pytest_configure(config):
    trials = pickle.loads(Path(os.environ["KOFN_TRIALS"]).read_bytes())
    config.pluginmanager.register(Forks([Trial(*trial) for trial in trials], Path(os.environ["KOFN_OUTCOMES"])))
