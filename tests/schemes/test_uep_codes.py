"""NOW-UEP and EW-UEP codes and schemes: classes, windows, realisations, conformance, and runs on workers."""

import numpy as np
import pytest

import kofn
from kofn.codes import decode
from kofn.codes._prior import Prior
from kofn.errors import ArgumentError, CodeError
from kofn.schemes import Classes, ew_uep, now_uep
from kofn.schemes.products._importance import WEIGHTINGS, block_weights, sorted_spans, split_levels
from kofn.schemes.products.families import Windows
from kofn.testing._schemes import check_scheme, results_of, unknowns_of
from oracles import gaussian

BUILDERS = {"now": now_uep, "ew": ew_uep}
TABLE = Classes.by_size(np.outer([10, 1, 0.1], [10, 1, 0.1]), (3, 3, 3))


def graded(rows, inner, columns, rng, dtype=float):
    """Matrices whose rows and columns, and inner positions, differ in weight and are out of order."""
    a = gaussian((rows, inner), dtype, rng) * rng.lognormal(sigma=1.5, size=(rows, 1)) * rng.lognormal(size=inner)
    b = gaussian((inner, columns), dtype, rng) * rng.lognormal(sigma=1.5, size=columns) * rng.lognormal(size=(inner, 1))
    return a.astype(dtype), b.astype(dtype)


def inner_parts(A, B, parts, rule="frobenius"):
    """The pairs A_m, B_m by an independent route: the inner dimension sorted by weight, then cut."""
    weight = {"frobenius": lambda m: np.sqrt((np.abs(m) ** 2).sum(1)), "mean-absolute": lambda m: np.abs(m).mean(1)}
    order = np.argsort(-weight[rule](A.T) * weight[rule](B), kind="stable")
    return [(A[:, index], B[index]) for index in np.array_split(order, parts)]


# -- classes and windows ------------------------------------------------------------------------------


def test_the_classes_of_the_paper():
    assert TABLE.label.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    assert TABLE.sizes.tolist() == [3, 3, 3]
    assert TABLE.windows("now")[1].tolist() == (TABLE.label == 1).tolist()
    assert TABLE.windows("ew")[2].all()


def test_classes_by_pairs_of_levels():
    levels = np.array([0, 1, 2])
    table = Classes.by_level(np.outer([10, 1, 0.01], [10, 1, 0.01]), levels, levels)
    assert table.count == 6  # S(S + 1)/2
    assert table.label.tolist() == [[0, 1, 3], [1, 2, 4], [3, 4, 5]]
    diagonal = Classes.by_level(np.array([5.0, 3.0, 1.0]), [0, 0, 1], [0, 1, 1])
    assert diagonal.label.tolist() == [[0, -1, -1], [-1, 1, -1], [-1, -1, 2]]
    absent = Classes.by_level(np.array([5.0, 3.0, 1.0]), [0, 0, 0], [0, 0, 0])
    assert absent.count == 1


def test_any_class_sizes_in_any_order_of_importance():
    table = Classes.by_size(np.array([[1.0, 100.0], [10.0, 0.1]]), (1, 3))
    assert table.label.tolist() == [[1, 0], [1, 1]]
    assert Classes.by_size(np.array([1.0, 100.0, 10.0]), 2).label.tolist() == [[1, -1, -1], [-1, 0, -1], [-1, -1, 0]]


def test_weights_by_norm_and_by_mean_absolute_value():
    matrix = np.array([[3.0, 4.0], [0.0, 6.0], [-2.0, 2.0]])
    norm, mean = (WEIGHTINGS[name].of_lines(matrix, 0) for name in ("frobenius", "mean-absolute"))
    assert norm.tolist() == pytest.approx([5.0, 6.0, np.sqrt(8)])
    assert mean.tolist() == [3.5, 3.0, 2.0]
    assert sorted_spans(norm, 2).order.tolist() == [1, 0, 2]
    assert sorted_spans(mean, 2).order is None  # already in order: nothing is moved
    spans = sorted_spans(norm, 2)
    assert block_weights(norm, spans).tolist() == pytest.approx([np.sqrt(61), np.sqrt(8)])
    assert block_weights(mean, spans, "mean-absolute").tolist() == [3.25, 2.0]
    assert split_levels(norm, (2, 1)).tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", ["now", "ew"])
def test_windows_are_drawn_with_their_probabilities(kind):
    gamma = np.array([0.40, 0.35, 0.25])
    masks = TABLE.draw(kind, gamma, 20_000, np.random.default_rng(0))
    share = np.array([np.mean(np.all(masks == window, axis=(1, 2))) for window in TABLE.windows(kind)])
    assert np.all(np.abs(share - gamma) < 4 * np.sqrt(gamma * (1 - gamma) / 20_000))


# -- realisations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["now", "ew"])
def test_ideal_rows_have_free_coefficients_in_their_window_and_load_1(kind):
    code = Windows(TABLE, kind=kind).code(200, rng=0)
    windows = {window.tobytes() for window in TABLE.windows(kind)}
    assert {(row != 0).reshape(3, 3).tobytes() for row in code.generator} == windows
    assert np.all(code.load == 1) and code.threshold is None and code.name == f"{kind}-uep-ideal"


def test_factor_rows_are_products_and_let_foreign_blocks_in():
    code = Windows(TABLE, "factor", kind="now").code(50, rng=0)
    tables = code.generator.reshape(-1, 3, 3)
    assert np.all(np.linalg.matrix_rank(tables) == 1)
    patterns = {(table != 0).astype(int).tobytes(): (table != 0).sum() for table in tables}
    assert sorted(patterns.values()) == [4, 4, 9]  # class 1 brings MM along, class 2 everything
    assert np.all(code.load == 1)


def test_column_row_factors_have_cross_terms_and_one_wanted_sum():
    code = Windows(Classes.of_sizes(3, 3, 3), "factor", summed=True, kind="now").code(40, rng=0)
    assert code.generator.shape == (40, 81)
    assert set(np.count_nonzero(code.generator, axis=1)) == {9}
    assert np.array_equal(code.targets, np.eye(9).reshape(1, 81))


def test_windows_cost_what_they_hold():
    code = Windows(Classes.of_sizes(1, 2, 3), "window", kind="ew").code(60, rng=0)
    assert np.array_equal(code.load, np.count_nonzero(code.generator, axis=1))
    assert set(code.load) == {1.0, 3.0, 6.0}
    table = Windows(TABLE, "window", kind="now").code(60, rng=0)
    assert set(table.load) == {2.0, 3.0}  # {HH, HM, MH} needs two blocks of A, {MM, HL, LH} three


def test_zero_fill_does_not_commute_with_summing():
    classes, energies = Classes.of_sizes(1, 1), Prior.independent([9.0, 1.0])
    parts, total = (
        Windows(classes, summed=summed, kind="now", gamma=(0.5, 0.5)).code(4, 3) for summed in (False, True)
    )
    first = np.flatnonzero(parts.generator[:, 0])[:1]
    assert np.array_equal(parts.generator, total.generator)
    assert float(decode(parts, first, energies, "exact").error) ** 2 == pytest.approx(0.1)
    assert float(decode(total, first, energies, "exact").error) == 1.0
    # The least-squares estimate of a sum is the sum of the estimates.
    sums = decode(parts, first, energies).matrix.sum(axis=0)
    assert np.allclose(sums, decode(total, first, energies).matrix[0], rtol=1e-12)


# -- on matrices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("realisation", ["factor", "window"])
@pytest.mark.parametrize("kind", BUILDERS)
def test_row_column_schemes_conform(kind, realisation, dtype):
    A, B = graded(11, 7, 10, np.random.default_rng(1), dtype)
    scheme = BUILDERS[kind](A, B, blocks=(2, 3), rows=16, workers=5, rng=3, realisation=realisation)
    answer = A.astype(np.result_type(A, np.float64)) @ B
    scale = np.linalg.norm(A) * np.linalg.norm(B)
    check_scheme(scheme, answer, unknowns_of(scheme, answer), scale=scale, subsets=8)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("realisation", ["factor", "window"])
@pytest.mark.parametrize("kind", BUILDERS)
def test_column_row_schemes_conform(kind, realisation, separate):
    A, B = graded(6, 11, 5, np.random.default_rng(2))
    options = {"partition": "cxr", "realisation": realisation, "separate": separate, "weights": "mean-absolute"}
    scheme = BUILDERS[kind](A, B, blocks=(4, 4), rows=24, rng=3, **options)
    parts = inner_parts(A, B, 4, "mean-absolute")
    if realisation == "window":
        unknowns = [a @ b for a, b in parts]
    else:
        unknowns = [a[:, : len(b)] @ b[: a.shape[1]] for a, _ in parts for _, b in parts]
    scale = np.linalg.norm(A) * np.linalg.norm(B)
    check_scheme(scheme, A @ B, unknowns, scale=scale, subsets=8)
    assert len(scheme.code.targets) == (4 if separate else 1)


def test_parts_that_are_recovered_are_added_and_the_rest_is_zero():
    A, B = graded(6, 9, 5, np.random.default_rng(4))
    options = {"partition": "cxr", "realisation": "window", "separate": True, "classes": (1, 2)}
    scheme = now_uep(A, B, blocks=(3, 3), rows=8, rng=0, gamma=(0.5, 0.5), **options)
    alone = np.flatnonzero(np.count_nonzero(scheme.code.generator, axis=1) == 1)[:1]
    decoding = decode(scheme.code, alone, estimator="exact")
    value = scheme.assemble(decoding.matrix, [results_of(scheme)[int(alone[0])]])
    a, b = inner_parts(A, B, 3)[0]
    assert np.allclose(value, a @ b, rtol=1e-12)


def test_the_heaviest_rows_and_columns_are_in_the_first_class():
    A = np.diag([1.0, 1e-3, 100.0, 10.0])
    scheme = now_uep(A, np.eye(4)[:, ::-1] * [1, 2, 3, 4], blocks=(4, 4), rows=40, rng=0, classes=(1, 15),
                     gamma=(0.5, 0.5), realisation="window")  # fmt: skip
    alone = int(np.flatnonzero(np.count_nonzero(scheme.code.generator, axis=1) == 1)[0])
    task = scheme.encoding().encode(np.empty)[alone]
    coefficients, a, b = task.arguments
    assert np.array_equal(a, A[2:3]) and np.array_equal(b, np.eye(4)[:, :1] * 4)
    assert coefficients.shape == (1, 1) and scheme.code.load[alone] == 1


def test_levels_make_the_classes_where_asked():
    A, B = graded(9, 5, 9, np.random.default_rng(5))
    scheme = ew_uep(A, B, blocks=(3, 3), rows=20, rng=0, levels=3, gamma=[1 / 6] * 6)
    assert scheme.code.decodable
    with pytest.raises(ArgumentError, match="'gamma' must have one entry for each of the 6 classes"):
        ew_uep(A, B, blocks=(3, 3), rows=20, rng=0, levels=3)


def test_defaults_fit_the_pool_and_the_matrices():
    A = np.random.default_rng(6).standard_normal((30, 30))
    assert now_uep(A, A, workers=12, rng=0).code.unknowns == 9
    assert now_uep(A, A, workers=12, rng=0, partition="cxr").code.unknowns == 9  # M = 3, all pairs
    assert now_uep(A, A, workers=12, rng=0, partition="cxr", realisation="window").code.unknowns == 9
    assert now_uep(A[:1], A[:, :1], workers=2, rng=0).code.unknowns == 1


def test_the_same_seed_gives_the_same_code():
    A = np.random.default_rng(7).standard_normal((9, 9))
    first, second = (now_uep(A, A, blocks=(3, 3), rows=12, rng=5).code.generator for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", BUILDERS)
def test_workers_compute_the_product_and_estimates_on_the_way(kind):
    A, B = graded(30, 12, 24, np.random.default_rng(8))
    with kofn.ThreadPool(14) as pool:
        answer = kofn.matmul(A, B, workers=pool, code=f"{kind}-uep", blocks=(3, 3), rng=0)
        assert answer.exact and answer.error == 0.0 and np.allclose(answer.value, A @ B)
        near = kofn.matmul(A, B, workers=pool, code=f"{kind}-uep", blocks=(3, 3), rng=0, tolerance=0.5)
        assert near.error <= 0.5
        job = kofn.start(BUILDERS[kind](A, B, partition="cxr", realisation="window", workers=14, rng=0), workers=pool)
        *_, last = job
        assert last.exact and np.allclose(last.value, A @ B)


def test_a_code_that_cannot_become_exact_asks_for_a_tolerance():
    A = np.random.default_rng(9).standard_normal((9, 9))
    build = lambda A, B, **options: now_uep(A, B, gamma=(1.0, 0.0, 0.0), **options)  # noqa: E731
    with kofn.ThreadPool(9) as pool:
        with pytest.raises(ArgumentError, match="'stop' must be reachable when every row arrives"):
            kofn.matmul(A, A, workers=pool, code=build, blocks=(3, 3), rng=0)
        assert kofn.matmul(A, A, workers=pool, code=build, blocks=(3, 3), rng=0, tolerance=0.9).error <= 0.9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"realisation": "ideal"},
            "'realisation' must be one of 'factor', 'window'.*kofn.schemes.families.Windows has 'ideal'",
        ),
        ({"partition": "rows"}, "'partition' must be one of 'rxc', 'cxr'"),
        ({"weights": "max"}, "'weights' must be one of 'frobenius', 'mean-absolute'"),
        ({"gamma": (0.5, 0.6, 0.1)}, "'gamma' must hold numbers >= 0 that sum to 1"),
        ({"gamma": (1.5, -0.5, 0.0)}, "'gamma' must hold numbers >= 0 that sum to 1"),
        ({"classes": (3, 3)}, "'classes' must have sizes that sum to 9"),
        ({"classes": (0, 4, 5)}, "'classes' must be an int of at least 1"),
        ({"classes": (9,)}, "'gamma' must have one entry for each of the 1 classes"),
        ({"classes": (3, 3, 3), "levels": 3}, "'classes' must be left out where 'levels' are given"),
        ({"levels": 0}, "'levels' must be an int of at least 1"),
        ({"partition": "cxr", "blocks": (2, 3)}, r"'blocks' must be \(M, M\)"),
    ],
)
def test_bad_arguments_get_a_sentence(options, sentence):
    A = np.ones((9, 9))
    with pytest.raises(ArgumentError, match=sentence):
        now_uep(A, A, **{"blocks": (3, 3), "rows": 12, "rng": 0} | options)


def test_a_table_of_classes_has_no_gaps():
    with pytest.raises(CodeError, match="without gaps"):
        Classes(np.array([[0, 2]]))
    with pytest.raises(CodeError, match="without gaps"):
        Classes(np.array([[-1, -1]]))
