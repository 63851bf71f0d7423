"""A Dask worker that died is expected back as long as its nanny answers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from kofn.engines import DaskPool
from kofn.engines.dask import _nanny
from processes import until

pytest.importorskip("distributed")


def test_a_worker_is_expected_as_long_as_its_nanny_answers(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: the time after which others may take its place has passed at once here."""
    monkeypatch.setattr(_nanny, "REVIVAL", 0.0)
    with DaskPool(client) as pool:
        until(lambda: pool.state(2) == "idle", 60.0)
        process, seen = pool.submit(2, os.getpid).result(), []
        os.kill(process, signal.SIGKILL)
        until(lambda: pool.state(2) in ("starting", "dead"), 60.0)

        def is_back() -> bool:
            seen.append(pool.state(2))
            return bool(seen[-1] == "idle")

        until(is_back, 60.0)
        assert "dead" not in seen
        assert pool.submit(2, os.getpid).result() != process


def test_who_has_no_nanny_any_more_is_not_expected(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    assert all(client.sync(_nanny.answers, client, worker["nanny"]) for worker in workers)
    lost = _nanny.Return("tcp://127.0.0.1:1")  # a port at which nobody listens
    assert lost.is_expected and not lost.is_late
    assert not _nanny.Return(None).is_expected and _nanny.Return(None).is_late
    monkeypatch.setattr(_nanny, "ANSWER_SECONDS", 0.5)
    assert not client.sync(_nanny.answers, client, "tcp://127.0.0.1:1")
