"""A task cannot change what others see: arrays are read-only, of anything else it has a copy of its own."""

import copy

import numpy as np
import pytest

import kofn
from kofn.engines._protocol import capabilities_of
from taking import ENGINES, INPUTS, NUMBERS, A, engine, spoil, total


@pytest.fixture(scope="module", params=ENGINES)
def pool(request):
    with engine(request.param) as pool:
        yield pool


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("keeps", [True, False])
def test_terms_cannot_change_what_others_are_given(pool, kind, keeps):
    x = INPUTS[kind]()

    def term(x):
        spoil(x)
        return total(x)

    face = (
        (lambda x: kofn.CodedSum([term] * 12, workers=pool, code="cyclic")(x))
        if keeps
        else (lambda x: kofn.sum([term] * 12, x, workers=pool, code="cyclic"))
    )
    if kind in ("array", "view", "large"):
        with pytest.raises(kofn.TermError, match=r"term \d+ tried to write into its input x, which is read-only") as e:
            face(x)
        assert e.value.term is not None and total(x) == total(INPUTS[kind]())
    else:
        answer = face(x)
        assert answer.exact and np.isclose(answer.value, 12 * term(copy.deepcopy(x)))
        assert total(x) == total(INPUTS[kind]())


@pytest.mark.parametrize("kind", ["dict", "tuple", "object"])
def test_arrays_within_an_input_are_read_only(pool, kind):
    def term(x):
        array = {"dict": lambda: x["a"], "tuple": lambda: x[0], "object": lambda: x.array}[kind]()
        array += 1.0
        return array.sum()

    with pytest.raises(kofn.TermError, match="tried to write into its input x"):
        kofn.sum([term] * 3, INPUTS[kind](), workers=pool)


def test_a_function_of_indices_is_given_what_it_cannot_spoil(pool):
    def terms(k, x):
        x.append(1.0)
        return k * len(x)

    assert kofn.sum(terms, [1.0], count=12, workers=pool).value == 2 * np.arange(12).sum()
    for wrong in (lambda k, x: np.add(x, k, out=x)[:, None], lambda k, x: np.multiply(k, 2, out=k)):
        with pytest.raises(kofn.TermError, match="tried to write into its input"):
            kofn.sum(wrong, np.ones(12), count=12, workers=pool)


@pytest.mark.parametrize("code", ["uncoded", "lagrange"])
def test_a_mapped_function_cannot_write_into_its_input(pool, code):
    options = {"degree": 1} if code == "lagrange" else {}
    X = A[:3].copy()
    with pytest.raises(kofn.FunctionError, match="f tried to write into its input x at"):
        kofn.map(lambda x: np.add(x, 1.0, out=x), X, workers=pool, code=code, **options)
    assert np.array_equal(X, A[:3])


def test_what_a_function_returns_may_be_its_input_or_a_buffer_that_it_uses_again(pool):
    x = NUMBERS.copy()
    held = np.zeros(4)

    def buffered(x):
        np.multiply(x, 2.0, out=held)
        return held

    for terms, factor in (([lambda x: x] * 6, 6), ([lambda x: x[:]] * 6, 6)):
        assert np.allclose(kofn.sum(terms, x, workers=pool).value, factor * NUMBERS)
    assert np.array_equal(kofn.map(lambda x: x, A[:4], workers=pool, code="uncoded").value, A[:4])
    if pool.n and not capabilities_of(pool).by_reference:  # threads run the caller's function, with its one buffer
        assert np.array_equal(kofn.map(buffered, A[:3, :4], workers=pool, code="uncoded").value, 2 * A[:3, :4])


def test_tasks_of_ones_own_cannot_change_what_others_see(pool):
    code = kofn.LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])

    def run(function, *arguments):
        tasks = [kofn.Task(function, arguments)] * 2
        scheme = kofn.schemes.CustomScheme(code, tasks)
        return kofn.run(scheme, workers=pool).value

    with pytest.raises(kofn.TaskError, match="tried to write into its input, which is read-only"):
        run(lambda x: np.add(x, 1.0, out=x), NUMBERS.copy())
    assert run(lambda box: float(len(box) + (box.append(1) or 0)), [1.0]).tolist() == [1.0, 1.0]
