"""A scheme is data: it runs any number of times, at once and anywhere, travels, and is equal to what holds the same."""

import copy
import pickle
import threading
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import FunctionType

import numpy as np
import pytest

import kofn
from kofn.codes import decode
from kofn.schemes import (
    FUNCTIONS,
    PRODUCTS,
    SUMS,
    CustomScheme,
    FunctionScheme,
    HedgedScheme,
    ProductScheme,
    SumScheme,
    Terms,
    WindowScheme,
)

A = np.random.default_rng(0).standard_normal((12, 8))
B = np.random.default_rng(1).standard_normal((8, 10))
X = np.linspace(0.5, 1.5, 3)
OPTIONS = {"lagrange": {"degree": 2, "rows": 7}, "parity": {"rows": 5}, "uncoded": {}}
WINDOWS = {"realisation": "window", "partition": "cxr"}


def cube(x):
    return x**3


def product(name, **options):
    return lambda: PRODUCTS[name](A, B, rows=9, workers=4, rng=3, **options)


def total(name):
    return lambda: SumScheme(SUMS[name](10, workers=4, rng=3), Terms.of([cube, np.sin] * 5), 0.5)


def function(name, f=np.square):
    return lambda: FUNCTIONS[name](f, X, workers=4, rng=3, **OPTIONS.get(name, {"rows": 6}))


def own():
    code = kofn.LinearCode("two copies", np.tile(np.eye(2), (2, 1)), np.ones((1, 2)), worker=np.arange(4))
    return CustomScheme(code, [kofn.Task(np.multiply, (2.0, A)), kofn.Task(cube, (A,))] * 2)


CATALOGUE = (
    {f"product {name}": product(name) for name in PRODUCTS}
    | {f"windows {name}": product(name, separate=name == "now-uep", **WINDOWS) for name in ("now-uep", "ew-uep")}
    | {f"sum {name}": total(name) for name in SUMS}
    | {f"function {name}": function(name) for name in FUNCTIONS}
    | {f"estimates of {name}": lambda name=name: function(name)().estimating() for name in ("uncoded", "repetition")}
    | {"own": own}
)


@pytest.fixture(params=CATALOGUE)
def scheme(request):
    return CATALOGUE[request.param]()


@pytest.fixture(scope="module")
def pools():
    with kofn.ThreadPool(4) as one, kofn.ThreadPool(4) as other:
        yield one, other


def answered(scheme, pool):
    """The answer from all results, or from all that differ."""
    stop = kofn.Decodable() if scheme.adaptive else kofn.Count(scheme.code.rows)
    return kofn.run(scheme, workers=pool, estimator=scheme.estimator, stop=stop)


def estimated(scheme, rows):
    """An estimate from some results, and its error bar, with nothing but the scheme."""
    tasks, learner = scheme.encoding().encode(np.empty), scheme.learner()
    results = {}
    for row in rows:
        results[row] = learner.take(row, tasks[row].function(*tasks[row].resident.values(), *tasks[row].arguments))
    decoding = decode(scheme.code, rows, learner.prior(results), scheme.estimator, scheme.epsilon)
    if learner.judge is not None:
        decoding = learner.judge(decoding, rows, list(results.values()), 0.0).decoding
    return scheme.answer(decoding, rows, list(results.values())), float(decoding.error)


def require_equal(one, other):
    np.testing.assert_array_equal(np.asarray(one, dtype=float), np.asarray(other, dtype=float))


def test_a_scheme_runs_again_with_the_same_answer(scheme, pools):
    rows = list(range(0, scheme.code.rows, 2))
    first, error = estimated(scheme, rows)
    for _ in range(2):
        again, same = estimated(scheme, rows)
        require_equal(first, again)
        assert same == error


def test_a_scheme_runs_in_two_threads_and_on_two_pools_at_once(scheme, pools):
    answers = {}

    def run(number):
        answers[number] = answered(scheme, pools[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    alone = answered(scheme, pools[0])
    for answer in answers.values():  # which results of equal rows come first differs, and with it the rounding
        np.testing.assert_allclose(answer.value, alone.value, rtol=1e-6, atol=1e-9)
        assert answer.exact == alone.exact


@pytest.mark.parametrize("way", [lambda it: pickle.loads(pickle.dumps(it)), copy.copy, copy.deepcopy])
def test_a_copy_is_equal_and_runs(scheme, way):
    twin = way(scheme)
    assert twin == scheme and hash(twin) == hash(scheme) and twin is not scheme
    rows = list(range(scheme.code.rows))
    require_equal(estimated(twin, rows)[0], estimated(scheme, rows)[0])
    assert twin == scheme  # a run leaves nothing behind


def test_what_is_built_alike_is_equal_and_what_is_not_differs(scheme):
    assert replace(scheme, code=replaced_name(scheme.code)) != scheme
    assert scheme != "a scheme"


def replaced_name(code):
    return kofn.LinearCode("other", code.generator, code.targets, code.worker) if code.picks is None else type(code)(
        "other", code.unknowns, code.rows, code.workers
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "own"])
def test_built_again_of_the_same_it_is_equal(name):
    assert CATALOGUE[name]() == CATALOGUE[name]()


def test_other_data_make_another_scheme():
    assert PRODUCTS["mds"](A, B, workers=4, rng=3) != PRODUCTS["mds"](A + 1, B, workers=4, rng=3)
    assert PRODUCTS["mds"](A, B, workers=4, rng=3) != PRODUCTS["mds"](A, B, workers=4, rng=4)
    assert function("lagrange")() != function("lagrange", np.negative)()
    assert total("cyclic")() != replace(total("cyclic")(), x=0.75)


def test_its_text_is_short_and_names_code_and_sizes(scheme):
    text, code = repr(scheme), scheme.code
    assert len(text) < 200
    assert type(scheme).__name__ in text and repr(code.name) in text
    assert f"{code.rows} rows" in text and f"{code.unknowns} unknowns" in text


KINDS = (ProductScheme, WindowScheme, SumScheme, FunctionScheme, HedgedScheme, CustomScheme)


def test_all_kinds_are_here_and_final():
    assert {type(build()) for build in CATALOGUE.values()} == set(KINDS)
    for kind in KINDS:
        assert getattr(kind, "__final__", False) and kind.__dataclass_params__.frozen


def parts(value, seen):
    """Everything that a value is made of."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    yield value
    inner = ()
    if is_dataclass(value) and not isinstance(value, type):
        inner = [getattr(value, part.name) for part in fields(value)]
    elif isinstance(value, Mapping):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = value
    inner = [*inner, *getattr(value, "__dict__", {}).values()] if not isinstance(value, FunctionType | type) else inner
    for part in inner:
        yield from parts(part, seen)


def test_nothing_in_it_is_a_function_made_inside_a_function_or_a_source_of_chance(scheme):
    encoding = scheme.encoding()
    estimated(scheme, list(range(scheme.code.rows)))
    for part in parts([scheme, encoding.factors, encoding.needs, scheme.learner()], {}):
        if isinstance(part, FunctionType):
            assert part.__closure__ is None and "<locals>" not in part.__qualname__, part
        assert not isinstance(part, np.random.Generator)


def test_a_learner_is_fresh_for_each_run():
    scheme = SumScheme(SUMS["cyclic"](4, workers=2, rng=0), Terms.of([np.ones] * 4), 2)
    first, second = scheme.learner(), scheme.learner()
    first.take(0, np.ones(2))
    with pytest.raises(kofn.TermError, match=r"returned float64 of shape \(3,\), others float64 of shape \(2,\)"):
        first.take(1, np.ones(3), worker=5)
    assert second.take(1, np.ones(3)).shape == (3,)


def test_who_returned_what_is_wrong_is_known():
    scheme = own()
    with pytest.raises(kofn.TaskError, match="the task of row 1 returned NaN or inf") as caught:
        scheme.learner().take(1, np.array([np.nan]), worker=3)
    assert (caught.value.worker, caught.value.row) == (3, 1)


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("gone", ["encode", "expect", "gather"])
def test_a_scheme_is_no_longer_made_of_functions_and_says_what_is(name, gone):
    with pytest.raises(TypeError, match=rf"'{gone}'; a scheme holds data now, and kofn\.schemes\.CustomScheme takes"):
        replace(CATALOGUE[name](), **{gone: list})
