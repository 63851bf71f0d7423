"""One sentence form for bad arguments."""

from functools import partial

import numpy as np
import pytest

import kofn
from kofn import checks
from kofn.errors import ArgumentError
from kofn.schemes import lagrange

HIDDEN = partial(lagrange, private=1)
FORM = r"^f: 'x' must .*, but got .*; say so\.$"


@pytest.mark.parametrize("value", [0, -1, 1.0, "2", None, True, np.float64(3)])
def test_integers_are_refused_in_one_sentence(value):
    with pytest.raises(ArgumentError, match=FORM):
        checks.integer("f", "x", value, 1, "say so")


def test_an_array_is_not_repeated_at_length():
    with pytest.raises(ArgumentError, match=FORM) as caught:
        checks.number("f", "x", np.ones((40, 40)), "say so")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1, np.int8(1), np.uint64(7)])
def test_integers_of_any_kind_pass(value):
    result = checks.integer("f", "x", value, 1, "say so")
    assert type(result) is int
    assert result == value


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "soon", "2", b"2", 10**400, None, [1.0, 2.0]])
def test_numbers_are_refused_in_one_sentence(value):
    with pytest.raises(ArgumentError, match=FORM):
        checks.number("f", "x", value, "say so")


def test_numbers_are_bounded_from_below():
    assert checks.number("f", "x", 0, "say so") == 0.0
    assert checks.number("f", "x", np.float32(0.5), "say so", minimum=0.5) == 0.5
    with pytest.raises(ArgumentError, match=r"finite number > 0, but got 0\.0"):
        checks.number("f", "x", 0, "say so", strict=True)
    with pytest.raises(ArgumentError, match=r">= 2, but got 1\.5"):
        checks.number("f", "x", 1.5, "say so", minimum=2)


@pytest.mark.parametrize("value", ["c", 1, None, ["a"]])
def test_choices_are_listed(value):
    with pytest.raises(ArgumentError, match=r"be one of 'a', 'b', but got"):
        checks.choice("f", "x", value, {"a": 1, "b": 2}, "say so")


@pytest.mark.parametrize(
    ("call", "work"),
    [
        ("kofn.matmul", lambda: kofn.matmul(np.eye(4), np.eye(4), workers=2, rng="x")),
        ("kofn.sum", lambda: kofn.sum([abs] * 4, 1.0, workers=2, code="sum-recovery", rng="x")),
        (
            "kofn.map",
            lambda: kofn.map(np.square, np.eye(2), workers=3, code=partial(lagrange, private=1), degree=1, rng="x"),
        ),
        ("kofn.fit", lambda: kofn.fit(np.sin, lambda rng: rng.random(3), inputs=2, recover=2, workers=3, rng="x")),
    ],
)
def test_a_seed_that_is_none_is_refused_in_the_name_of_the_call(call, work):
    with pytest.raises(kofn.ArgumentError, match=rf"^{call}: 'rng' must be None, an int >= 0 or a numpy"):
        work()


EYE, LATENCY = np.eye(6), kofn.Exponential(1.0)
CALLS = {
    "kofn.matmul": partial(kofn.matmul, EYE, EYE, workers=3),
    "kofn.sum": partial(kofn.sum, [abs] * 4, 1.0, workers=3),
    "kofn.map": partial(kofn.map, np.square, [1.0, 2.0], workers=3, degree=1),
    "kofn.operator": partial(kofn.operator, EYE, workers=3),
    "kofn.design": partial(kofn.design, EYE, EYE, workers=4, latency=LATENCY),
}
WRONG = [
    *((call, {name: -1}) for call in CALLS for name in ("tolerance", "deadline") if call != "kofn.design"),
    *((call, {name: "x"}) for call in list(CALLS)[:3] for name in ("estimator", "progress")),
    *((call, {"memory_limit_bytes": 10}) for call in ("kofn.matmul", "kofn.operator")),
    *((call, {"blocks": 0}) for call in ("kofn.matmul", "kofn.operator", "kofn.design")),
    *((call, {"rng": "x"}) for call in ("kofn.operator", "kofn.design")),
    ("kofn.operator", {"rows": 0}),
]


@pytest.mark.parametrize(("call", "wrong"), WRONG)
def test_a_refusal_speaks_of_what_the_user_called_and_comes_before_workers_are_started(call, wrong, monkeypatch):
    monkeypatch.setattr("kofn.engines.local._pool.LocalPool", None)
    with pytest.raises(kofn.ArgumentError, match=f"^{call}: '{next(iter(wrong))}' must "):
        CALLS[call](**wrong)


@pytest.mark.parametrize(
    "bad", [{"pool": 4}, {"latency": 0.1}, {"latency": kofn.Exponential}, {"seed": -1}, {"seed": "x"}]
)
def test_stragglers_are_made_of_a_pool_a_latency_model_and_a_seed(bad):
    with kofn.ThreadPool(2) as pool, pytest.raises(ArgumentError, match=f"^kofn.Straggling: '{next(iter(bad))}' must"):
        kofn.Straggling(**{"pool": pool, "latency": LATENCY} | bad)
