"""On a Dask cluster of other processes: no exception and no result of a task goes Dask's own way."""

from __future__ import annotations

import sys
import threading

import cloudpickle
import numpy as np
import pytest

import awkward
import kofn
from awkward import KeywordsError, of_a_library_of_the_workers

distributed = pytest.importorskip("distributed")


def of_keywords(x):
    raise KeywordsError(7, where="the third table")


def with_such_a_cause(x):
    raise ValueError("no table") from KeywordsError(7, where="the third table")


def of_a_library(x):
    raise of_a_library_of_the_workers("LibraryError")("no licence")


def exits(x):
    raise SystemExit(3)


def not_here():
    return of_a_library_of_the_workers("Result")()


@pytest.fixture(scope="module")
def client(dask_cluster):
    with distributed.Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4, 60)
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the cluster does not have these files
        cloudpickle.register_pickle_by_value(awkward)
        yield client
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        cloudpickle.unregister_pickle_by_value(awkward)


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        (of_keywords, "raised KeywordsError: code 7 at the third table"),
        (with_such_a_cause, "raised ValueError: no table"),
        (of_a_library, "raised LibraryError: no licence"),
        (exits, "raised SystemExit: 3"),
    ],
)
def test_the_term_that_failed_is_named(client, term, sentence):
    with pytest.raises(kofn.TermError, match=f"term 3 {sentence}") as caught:
        kofn.sum([abs, abs, abs, term], -1.0, workers=client)
    assert caught.value.term == 3 and term.__name__ in caught.value.traceback


@pytest.mark.parametrize("make", [threading.Lock, not_here])
def test_the_row_of_a_result_that_cannot_come_back_is_named(client, make):
    scheme = kofn.schemes.uncoded(np.zeros((2, 1)), np.zeros((1, 1)), blocks=(2, 1), workers=2)
    tasks = [kofn.Task(np.zeros, ((1, 1),)), kofn.Task(make)]
    broken = kofn.schemes.CustomScheme(scheme.code, tasks, scheme.prior(), scheme.grid)
    with pytest.raises(kofn.TaskError, match=r"row 1 raised \w+ at worker \d: the task's result") as caught:
        kofn.run(broken, workers=client)
    assert caught.value.row == 1
