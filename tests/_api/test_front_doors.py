"""What NumPy lets in at its front door arrives as what it was, or is refused by the name of the argument."""

import array
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import dask.array
import numpy as np
import pytest
import scipy.sparse

import kofn
from kofn._base._pickles import dumps, pickled
from kofn._base._snapshots import seal, unseal
from kofn.engines._protocol import capabilities_of
from processes import slow_but

A = np.random.default_rng(0).standard_normal((4, 3))


pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")


class Scaled(np.ndarray):
    def __array_finalize__(self, other):
        self.scale = getattr(other, "scale", 1.0)


class Forgetful(np.ndarray):
    """Its views do not take along what it holds, and it cannot be pickled."""

    def __reduce__(self):
        raise TypeError


class Summing(np.ndarray):
    def sum(self, *arguments, **options):
        return 7.0


def scaled(numbers, scale):
    made = np.asarray(numbers).view(Scaled)
    made.scale = scale
    return made


@pytest.fixture(scope="module", params=["threads", "processes", "executors"])
def pool(request):
    if request.param == "executors":
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two, kofn.ExecutorPool([one, two]) as made:
            yield made
    else:
        with {"threads": kofn.ThreadPool, "processes": kofn.LocalPool}[request.param](2) as made:
            yield made


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(4) as made:
        yield made


VIEWS = {
    "floats": memoryview(np.array([1.0, 2.0])),
    "ints": memoryview(array.array("i", [1, 2, 300])),
    "other byte order": memoryview(np.array([1.0, 2.0], ">f8")),
    "bytes": memoryview(b"abc"),
    "letters": memoryview(b"abc").cast("c"),
    "empty": memoryview(b""),
    "a number": memoryview(np.array(3.0)),
    "with gaps": memoryview(np.arange(6.0))[::2],
    "backwards": memoryview(np.arange(6.0))[::-1],
    "two dimensions": memoryview(np.arange(6.0).reshape(2, 3)),
    "by columns": memoryview(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    "turned": memoryview(np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)),
    "flags": memoryview(np.array([True, False])),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_of_memory_arrive_as_they_are(view):
    buffers = []
    apart = pickle.loads(pickled(view, buffers.append)[0], buffers=buffers)
    for arrived in (pickle.loads(dumps(view)), apart, unseal(seal(view)), unseal(seal([view]))[0]):
        assert type(arrived) is memoryview
        assert arrived.shape == view.shape
        assert np.asarray(arrived).tolist() == np.asarray(view).tolist()


@pytest.mark.parametrize("hold", [lambda v: v, lambda v: [v], lambda v: {"a": [v]}], ids=["itself", "a list", "a dict"])
def test_terms_are_given_views_of_memory(pool, hold):
    view = memoryview(np.array([1.0, 2.5]))

    def term(x):
        while not isinstance(x, memoryview):
            x = x[0] if isinstance(x, list) else x["a"]
        return sum(x)

    assert kofn.sum([term] * 2, hold(view), workers=pool).value == 7.0
    assert kofn.sum([lambda x: sum(view)] * 2, workers=pool).value == 7.0
    assert kofn.map(lambda x: sum(term(x) for _ in range(2)), [hold(view)], workers=pool).value == [7.0]


def test_views_of_memory_are_operands(threads):
    view = memoryview(A)
    np.testing.assert_allclose(kofn.matmul(view, view_of_columns(), workers=threads).value, A @ A.T, atol=1e-12)
    with kofn.operator(view, workers=threads) as operator:
        np.testing.assert_allclose(operator.matmat(view_of_columns()), A @ A.T, atol=1e-12)
        np.testing.assert_allclose(operator.dot(view_of_columns()), A @ A.T, atol=1e-12)
    for code in ({"degree": 1}, {"code": "repetition"}, {"code": "uncoded"}):
        np.testing.assert_allclose(kofn.map(np.negative, view, workers=threads, **code).value, -A, atol=1e-12)
    assert kofn.sum([lambda x: view] * 2, workers=threads).value.tolist() == (2 * A).tolist()
    with pytest.raises(kofn.ArgumentError, match="'energies' must be 2 numbers"):
        kofn.sum([abs] * 2, 1.0, energies=view, workers=threads)


def view_of_columns():
    return memoryview(np.ascontiguousarray(A.T))


def test_derived_arrays_keep_what_they_hold(pool):
    x = scaled(np.ones(2), 10.0)
    assert kofn.sum([lambda x: x.scale * np.asarray(x)] * 2, x, workers=pool).value.tolist() == [20.0, 20.0]
    assert kofn.sum([lambda _: x.scale, lambda given: given["x"].scale], {"x": x}, workers=pool).value == 20.0
    assert kofn.map(lambda x: x.scale, [x], workers=pool).value == [10.0]
    hard = np.ma.array([1.0, 2.0], mask=[0, 1], hard_mask=True, fill_value=9.0)
    assert kofn.sum([lambda x: x.hardmask + x.sum() + x.filled()[1]] * 2, hard, workers=pool).value == 22.0


def test_derived_arrays_keep_it_where_they_are_only_looked_at():
    x = np.ones(2).view(Forgetful)
    x.scale = 3.0
    seen = unseal(seal(x))
    assert seen.scale == 3.0
    assert not seen.flags.writeable


@pytest.mark.parametrize(
    "given", [A[:, :2].view(np.matrix), [np.eye(2).view(np.matrix)] * 2, [np.ones(2).view(Summing)] * 2]
)
def test_codes_do_not_mix_what_computes_in_its_own_way(threads, given):
    with pytest.raises(kofn.ArgumentError, match=r"'inputs' must be plain arrays .* computes in its own way"):
        kofn.map(lambda x: x * x, given, workers=threads, degree=2, rows=12)


def test_copies_hand_on_matrices(threads):
    matrices = [np.matrix([[1.0, 2.0], [3.0, 4.0]]), np.matrix(np.eye(2))]
    for answer, matrix in zip(kofn.map(lambda x: x * x, matrices, workers=threads).value, matrices, strict=True):
        assert answer.tolist() == (matrix @ matrix).tolist()
    held = [scaled(row, 2.0) for row in A]  # computes as NumPy does
    np.testing.assert_allclose(kofn.map(np.negative, held, workers=threads, degree=1).value, -A, atol=1e-12)


def test_no_code_is_fitted_to_matrices():
    with pytest.raises(kofn.ArgumentError, match=r"'sampler' must return .* a matrix, which computes in its own way"):
        kofn.fit(lambda x: x * x, lambda rng: np.matrix(rng.random((2, 2))), inputs=1, recover=1, workers=2, samples=16)


PLACES = {
    "rows on one another": np.lib.stride_tricks.as_strided(np.zeros(3), (4, 3), (0, 8)),
    "columns on one another": np.lib.stride_tricks.as_strided(np.zeros(4), (4, 3), (8, 0)),
    "a sliding window": np.lib.stride_tricks.sliding_window_view(np.zeros(6), 3, writeable=True),
    "masked": np.ma.zeros((4, 3)),
    "a matrix": np.zeros((4, 3)).view(np.matrix),
    "a class of its own": np.zeros((4, 3)).view(Scaled),
}


@pytest.mark.parametrize("out", PLACES.values(), ids=PLACES)
def test_answers_are_written_to_what_holds_them(threads, out):
    with pytest.raises(kofn.ArgumentError, match=r"'out' must (have a place|be a plain)"):
        kofn.matmul(A, np.eye(3), workers=threads, out=out)
    with pytest.raises(kofn.ArgumentError, match=r"run: 'out' must"):
        kofn.run(kofn.schemes.mds(A, np.eye(3), workers=4), workers=threads, out=out)


@pytest.mark.parametrize(
    "cut", [lambda a: a[::2, ::2], lambda a: a[::-2, 1::2], lambda a: a.T[::2, ::2], lambda a: a[3:7, ::-2]]
)
def test_answers_are_written_to_any_part_of_an_array(threads, cut):
    out = cut(np.zeros((8, 8)))[:, :3]
    kofn.matmul(A, np.eye(3), workers=threads, out=out)
    np.testing.assert_allclose(out, A, atol=1e-12)


def masked_by_dask(values):
    return dask.array.ma.masked_greater(dask.array.from_array(values, chunks=2), values.max() - 1e-9)


HIDDEN = {
    "inputs": lambda x, pool: kofn.map(np.negative, x, workers=pool, degree=1),
    "inputs in a list": lambda x, pool: kofn.map(np.negative, [x[0], x[1]], workers=pool, degree=1),
    "results": lambda x, pool: kofn.map(lambda _: x, [1.0, 2.0], workers=pool, degree=1),
    "terms": lambda x, pool: kofn.sum([lambda _: x] * 2, workers=pool),
    "energies": lambda x, pool: kofn.sum([abs] * 2, 1.0, energies=x[0], workers=pool),
    "energies in a list": lambda x, pool: kofn.sum([abs] * 2, 1.0, energies=[x[0][0], x[0][1]], workers=pool),
    "a vector": lambda x, pool: of_operator(lambda op: op @ x, pool),
    "a vector, turned": lambda x, pool: of_operator(lambda op: op.rmatvec(x[0]), pool),
    "a factor": lambda x, pool: kofn.matmul(x, np.eye(2), workers=pool),
    "a task": lambda x, pool: kofn.run(of_tasks(lambda: x), workers=pool),
    "a trace": lambda x, pool: kofn.Trace(x),
}


def of_operator(use, pool):
    with kofn.operator(np.eye(2), workers=pool) as operator:
        return use(operator)


def of_tasks(result):
    code = kofn.LinearCode("two", np.tile(np.eye(2), (2, 1)), np.ones((1, 2)), worker=np.arange(4))
    return kofn.schemes.CustomScheme(code, [kofn.Task(result) for _ in range(4)])


@pytest.mark.parametrize(
    "mask", [masked_by_dask, lambda x: np.ma.masked_greater(x, x.max() - 1e-9)], ids=["dask", "np"]
)
@pytest.mark.parametrize("face", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.filterwarnings("ignore:Warning. converting a masked element")
def test_masks_are_seen(threads, face, mask):
    with pytest.raises(kofn.KofnError, match=r"mask|got nan for term 1|a dask Array, which has several parts"):
        face(mask(np.array([[3.0, 4.0], [1.0, 2.0]])), threads)


def test_chunks_are_of_the_type_that_their_array_says(threads):
    chunked = dask.array.from_array(A, chunks=2)
    for wrong in (lambda block: block.astype(int), lambda block: block + 1j, lambda block: block.astype(str)):
        with pytest.raises(kofn.ArgumentError, match=r"must hold float64, as it says of itself, but got a chunk of"):
            kofn.matmul(chunked.map_blocks(wrong, dtype=float), np.eye(3), workers=threads)
    half = chunked.map_blocks(lambda block: block.astype(np.float32), dtype=float)
    value = kofn.matmul(half, np.eye(3), workers=threads).value
    np.testing.assert_allclose(value, A.astype(np.float32), atol=1e-12)


@pytest.mark.parametrize("code", ["uncoded", "mds", "matdot"])
@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1), (5, 4), (4, 5)])
def test_chunks_are_of_the_sizes_that_their_array_says(threads, shape, code):
    """One row in place of four was broadcast, of five rows the last was cut off, and the product was called exact."""
    false = dask.array.from_delayed(dask.delayed(np.ones)(shape), shape=(4, 4), dtype=float)
    for factors in ((false, np.ones((4, 2))), (np.ones((2, 4)), false)):
        with pytest.raises(kofn.ArgumentError, match=r"'the Dask array' must hold chunks of the sizes that it says"):
            kofn.matmul(*factors, workers=threads, code=code, rng=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, complex(0, np.nan)])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 3), (2, 2)])
def test_no_exact_answer_is_made_of_what_is_no_number(threads, wrong, shape):
    result = np.ones(shape, type(wrong))
    if result.size:
        result[(0,) * len(shape)] = wrong
        with pytest.raises(kofn.TaskError, match=r"the task of row \d returned NaN or inf"):
            kofn.run(of_tasks(lambda: result), workers=threads)
    else:
        assert kofn.run(of_tasks(lambda: result), workers=threads).value.shape == shape


def test_huge_results_are_numbers(threads):
    assert kofn.run(of_tasks(lambda: np.array([8e307, -8e307])), workers=threads).value.tolist() == [1.6e308, -1.6e308]
    many = np.full(4, 1.5e308)
    many[2:] *= -1
    code = of_tasks(lambda: many).code
    assert code.rows == 4
    assert kofn.schemes._scheme.payload(0, many) is many


@pytest.mark.parametrize("energies", [[1, -2, 3], [1, np.nan, 3], [1, np.inf, 3]])
def test_energies_say_which_of_them_is_wrong(threads, energies):
    with pytest.raises(kofn.ArgumentError, match=rf"'energies' must be 3 numbers .*, but got {float(energies[1])} for"):
        kofn.sum([abs] * 3, 1.0, energies=energies, workers=threads)


TYPES = ["f2", "f4", "f8", "g", ">f4", ">f8", "c8", "c16", ">c16", "i4", ">i4"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("code", ["lagrange", "kriging", "berrut", "letcc", "parity"])
def test_inputs_of_any_type_are_mixed(threads, code, dtype):
    """What is expected of f is worked out in double precision, of inputs far from zero and of equal ones too."""
    for seed in range(2):
        X = 5 + np.random.default_rng(seed).standard_normal((3, 2))
        for inputs in (X, X[:, 0], np.ones((3, 2))):
            options = {"degree": 1} if code == "lagrange" else {}
            answer = kofn.map(
                lambda x: 2 * x, inputs.astype(dtype), workers=threads, code=code, rows=8, rng=0, **options
            )
            near = 0.05 if dtype == "f2" else 1e-3 if "4" in dtype or dtype == "c8" else 1e-9
            if answer.exact:
                np.testing.assert_allclose(answer.value, 2 * inputs.astype(dtype), rtol=near)


@pytest.mark.parametrize("dtype", slow_but(("f4", ">f8"), {"f4"}))
def test_codes_are_fitted_to_inputs_of_any_type(dtype):
    draw = lambda rng: rng.standard_normal(2).astype(dtype)  # noqa: E731
    fitted = kofn.fit(lambda x: 2 * x, draw, inputs=2, recover=3, workers=4, samples=16, rng=0)
    assert fitted.name


@pytest.mark.parametrize("kind", [kofn.LocalPool, kofn.ThreadPool])
def test_a_class_is_no_pool(kind):
    with pytest.raises(kofn.ArgumentError, match=f"'workers' must .* the class {kind.__name__}; make one, as in"):
        kofn.matmul(A, A.T, workers=kind)
    with pytest.raises(kofn.ArgumentError, match="'pool' must"):
        kofn.Straggling(kind, kofn.Constant(1.0))


class Leaving:
    def __reduce__(self):
        raise SystemExit(5)


def test_what_cannot_be_pickled_is_refused_whatever_it_raises(pool):
    if capabilities_of(pool).by_reference:
        assert kofn.sum([lambda x: 1.0] * 2, Leaving(), workers=pool).value == 2.0
    else:
        with pytest.raises(kofn.ArgumentError, match="must be picklable, but got SystemExit: 5"):
            kofn.sum([lambda x: 1.0] * 2, Leaving(), workers=pool)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"])
def test_sparse_inputs_are_rows_or_refused(threads, kind):
    inputs = scipy.sparse.coo_array(np.diag([1.0, 2.0])).asformat(kind)
    assert kofn.map(lambda row: row.sum(), inputs, workers=threads).value.tolist() == [1.0, 2.0]
    with pytest.raises(kofn.ArgumentError, match=r"'inputs' must be dense where they are mixed.* inputs\.toarray"):
        kofn.map(lambda x: x, inputs, workers=threads, degree=1)


UNPICKLABLE = {
    "terms": lambda lock, pool: kofn.sum([lambda x: (lock, 1.0)[1]] * 2, 1.0, workers=pool),
    "x": lambda lock, pool: kofn.sum([lambda x: 1.0] * 2, [lock], workers=pool),
    "f": lambda lock, pool: kofn.map(lambda x: (lock, x)[1], [1.0, 2.0], workers=pool),
    "inputs": lambda lock, pool: kofn.map(lambda x: 1.0, [lock, lock], workers=pool),
}


@pytest.mark.parametrize("name", UNPICKLABLE)
def test_what_cannot_be_pickled_has_the_name_that_the_user_gave_it(pool, name):
    if not capabilities_of(pool).by_reference:
        with pytest.raises(kofn.ArgumentError, match=f"'{name}' must be picklable, but got TypeError"):
            UNPICKLABLE[name](threading.Lock(), pool)


class Graph:
    """Like a tensor that needs gradients."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("it needs gradients: use x.detach()")


class Old:
    """As classes had it before NumPy 2."""

    def __array__(self):
        return np.eye(2)


def test_what_does_not_become_an_array_says_why(threads):
    for use in (
        lambda: kofn.matmul(Graph(), A, workers=threads),
        lambda: kofn.map(np.negative, Graph(), workers=threads, degree=1),
        lambda: kofn.map(np.negative, [Graph()], workers=threads, degree=1),
        lambda: of_operator(lambda operator: operator.matmat(Graph()), threads),
    ):
        with pytest.raises(kofn.ArgumentError, match=r"must be .* become .*RuntimeError: it needs gradients"):
            use()
    with pytest.raises(kofn.ArgumentError, match="'A' must have 2 dimensions"):
        kofn.operator(scipy.sparse.coo_array(np.ones(3)), workers=threads)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_terms_may_be_arrays_of_old_classes(threads):
    assert kofn.sum([lambda x: Old()] * 2, workers=threads).value.tolist() == [[2.0, 0.0], [0.0, 2.0]]
