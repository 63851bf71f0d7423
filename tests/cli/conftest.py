"""What tests of the command share."""

from __future__ import annotations

import pytest

from kofn.cli import _matmul as command
from kofn.engines import ThreadPool


@pytest.fixture
def threads(monkeypatch):
    """Threads instead of processes, for tests of what happens around the product."""
    real = command.matmul

    def on_threads(A, B, *, workers, **options):
        with ThreadPool(workers) as pool:
            return real(A, B, workers=pool, **options)

    monkeypatch.setattr(command, "matmul", on_threads)
