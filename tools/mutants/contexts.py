"""A pytest plugin: which test runs which lines of the mutated modules, and how much processor time each takes.

`python -m pytest -p contexts` with this folder on the path; the result is written to the file that KOFN_CONTEXTS names.
"""

import json
import math
import os
import time
from pathlib import Path

import pytest
from coverage import Coverage

IMPORTED = ""
"""The context of what runs outside tests: on import, and in fixtures of the session."""


class Contexts:
    def __init__(self, source, target):
        self.target, self.seconds, self.not_passed = target, {}, set()
        self.source = source
        self.coverage = Coverage(data_file=None, include=[f"{source}/*"], config_file=False)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.coverage.switch_context(item.nodeid)
        began = time.process_time()
        try:
            return (yield)
        finally:
            self.coverage.switch_context(IMPORTED)
            self.seconds[item.nodeid] = math.inf if item.nodeid in self.not_passed else time.process_time() - began

    def pytest_runtest_logreport(self, report):
        if not report.passed:
            self.not_passed.add(report.nodeid)  # what fails or is skipped here tells nothing of a mutant

    def pytest_sessionfinish(self):
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            str(Path(file).relative_to(self.source)): {
                line: [test for test in tests if test != IMPORTED]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        Path(self.target).write_text(json.dumps({"lines": lines, "seconds": self.seconds}))


WATCH = Contexts(Path("src").resolve(), os.environ["KOFN_CONTEXTS"])
"""From here on: a conftest.py may import kofn before pytest is configured."""


def pytest_configure(config):
    config.pluginmanager.register(WATCH)
