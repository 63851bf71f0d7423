"""A refusal names the call that the user wrote, whatever lies below it."""

from __future__ import annotations

import numpy as np
import pytest

import kofn

A = np.eye(4)


class Backwards(kofn.ThreadPool):
    """Refuses what is submitted, as a pool does whose workers cannot be sent a function."""

    def submit(self, worker, function, *arguments, keys=()):
        raise kofn.engines._validation.unpicklable("submit", "function and arguments", TypeError("a lock"))


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as pool:
        yield pool


def scheme():
    return kofn.schemes.mds(A, A, workers=3, rng=0)


def at_first_call(make, *inputs):
    """A face that is made first and called afterwards; options that only the call knows go there."""

    def call(workers, **bad):
        later = {
            name: bad.pop(name) for name in list(bad) if name in {"estimator", "tolerance", "deadline", "progress"}
        }
        with make(workers=workers, **bad) as made:
            return made(*inputs, **later)

    return call


FACES = {
    "kofn.matmul": lambda workers, **bad: kofn.matmul(**{"A": A, "B": A, "workers": workers} | bad),
    "kofn.sum": lambda workers, **bad: kofn.sum(**{"terms": [abs, abs], "x": 1.0, "workers": workers} | bad),
    "kofn.map": lambda workers, f=abs, inputs=(1.0, 2.0), **bad: kofn.map(
        f, inputs, **{"degree": 1, "workers": workers} | bad
    ),
    "kofn.operator": lambda workers, **bad: kofn.operator(**{"A": A, "workers": workers} | bad) @ np.ones(4),
    "kofn.CodedSum": at_first_call(lambda **given: kofn.CodedSum(**{"terms": [abs, abs]} | given), 1.0),
    "kofn.CodedMap": at_first_call(lambda **given: kofn.CodedMap(**{"f": abs, "degree": 1} | given), [1.0, 2.0]),
    "kofn.run": lambda workers, **bad: kofn.run(**{"scheme": scheme(), "workers": workers} | bad),
    "kofn.start": lambda workers, **bad: kofn.start(**{"scheme": scheme(), "workers": workers} | bad).result(),
}
BAD = {
    "kofn.matmul": {
        "A": "x", "B": np.ones(3), "code": "none", "blocks": (0, 1), "rows": 0, "estimator": "best", "rng": "x",
        "tolerance": -1.0, "deadline": 0.0, "memory_limit_bytes": -1, "progress": 7, "workers": "two", "out": 3,
    },
    "kofn.sum": {
        "terms": 3, "count": 0, "code": "none", "energies": [1.0], "estimator": "best", "rng": "x",
        "tolerance": -1.0, "deadline": 0.0, "memory_limit_bytes": -1, "progress": 7, "workers": "two",
    },
    "kofn.map": {
        "f": 3, "inputs": "x", "code": "none", "degree": -1, "recover": 0, "rows": 0, "estimator": "best",
        "rng": "x", "tolerance": -1.0, "deadline": 0.0, "progress": 7, "workers": "two",
    },
    "kofn.operator": {
        "A": np.ones(3), "code": "none", "blocks": 0, "rows": 0, "rng": "x", "tolerance": -1.0, "deadline": 0.0,
        "memory_limit_bytes": -1, "workers": "two",
    },
    "kofn.CodedSum": {
        "terms": 3, "count": 0, "code": "none", "energies": [1.0], "rng": "x", "estimator": "best",
        "tolerance": -1.0, "deadline": 0.0, "progress": 7, "workers": "two",
    },
    "kofn.CodedMap": {
        "f": 3, "code": "none", "degree": -1, "recover": 0, "rows": 0, "rng": "x", "estimator": "best",
        "tolerance": -1.0, "deadline": 0.0, "progress": 7, "workers": "two",
    },
    "kofn.run": {
        "scheme": "mds", "stop": 3.0, "progress": 7, "estimator": "best", "workers": "two", "memory_limit_bytes": -1,
    },
    "kofn.start": {
        "scheme": "mds", "stop": 3.0, "estimator": "best", "workers": "two", "memory_limit_bytes": -1,
    },
}  # fmt: skip


@pytest.mark.parametrize(("face", "argument"), [(face, argument) for face in BAD for argument in BAD[face]])
def test_a_refusal_names_the_call_that_the_user_wrote(face, argument, pool):
    with pytest.raises(kofn.ArgumentError) as caught:
        FACES[face](**{"workers": pool} | {argument: BAD[face][argument]})
    assert str(caught.value).startswith(f"{face}: ")
    assert repr(argument) in str(caught.value)


@pytest.mark.parametrize("face", FACES)
def test_what_is_refused_far_below_names_the_call_too(face):
    with (
        Backwards(3) as pool,
        pytest.raises(
            kofn.ArgumentError, match=rf"^{face}: \'(function and arguments|terms|x|f|inputs)\' must be picklable"
        ),
    ):
        FACES[face](pool)
