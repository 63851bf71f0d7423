"""Combining blocks and results against einsum, for every type, shape and padding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from draws import examples
from kofn.arrays._blocks import Blocks
from kofn.arrays._combine import apply, combine
from kofn.arrays._spans import Spans

seeds = st.integers(0, 2**32 - 1)
DTYPES = ["float32", "float64", "complex64", "complex128"]


def drawn(rng, shape, dtype):
    values = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else 0)
    return values.astype(dtype)


@examples(60)
@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.lists(st.integers(0, 7), max_size=3),
    st.sampled_from(DTYPES),
    seeds,
)
def test_apply_is_einsum_on_payloads_of_any_shape(targets, received, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((targets, received))
    results = [drawn(rng, tuple(shape), dtype) for _ in range(received)]
    wanted = np.einsum("tr,r...->t...", matrix, np.array(results, np.result_type(dtype, float)))
    whole = [np.full(shape, np.nan, dtype) for _ in range(targets)]
    apply(matrix, results, whole)
    size = np.abs(matrix).sum() * max((float(np.abs(r).max(initial=0)) for r in results), default=0)
    tolerance = 8 * received * np.finfo(dtype).eps * size
    assert np.allclose(np.array(whole), wanted, rtol=0, atol=tolerance)
    if not shape:
        return
    # Targets with less room than a result: the rest is padding and goes nowhere.
    frame = np.full((targets, *(n + 1 for n in shape)), 7, dtype)
    room = tuple(slice(max(0, n - 1)) for n in shape)
    apply(matrix, results, [view[room] for view in frame])
    inside = (slice(None), *room)
    assert np.allclose(frame[inside], wanted[inside], rtol=0, atol=tolerance)
    frame[inside] = 7
    assert np.all(frame == 7)


def test_apply_works_piece_by_piece_on_what_the_cache_cannot_hold():
    rng = np.random.default_rng(0)
    results = [rng.standard_normal((1500, 300))[:, ::2] for _ in range(5)]
    matrix = rng.standard_normal((4, 5))
    answer = np.full((3000, 300), np.nan)
    views = [answer[:1500, :150], answer[:1499, 150:], answer[1500:, :149], answer[1500:, 150:]]
    apply(matrix, results, views)
    wanted = np.einsum("tr,rij->tij", matrix, np.array(results))
    for view, block in zip(views, wanted, strict=True):
        assert np.allclose(view, block[: view.shape[0], : view.shape[1]], rtol=0, atol=1e-13)
    assert np.isnan(answer[1499, 150:]).all()


def test_apply_without_results_gives_zeros():
    target = np.ones(3)
    apply(np.zeros((1, 0)), [], [target])
    assert not target.any()
    apply(np.zeros((0, 1)), [target], [])


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.sampled_from(DTYPES), seeds)
def test_combine_is_einsum(combinations, parts, length, dtype, seed):
    rng = np.random.default_rng(seed)
    stacked = drawn(rng, (parts, length, 2), dtype)
    weights = rng.standard_normal((combinations, parts)).astype(stacked.real.dtype)
    out = np.full((combinations, length, 2), np.nan, dtype)
    blocks = Blocks(stacked.reshape(parts * length, 2), Spans(parts * length, parts), 0)
    combine(weights, blocks, out)
    wanted = np.einsum("cp,pij->cij", weights.astype(float), stacked.astype(np.result_type(dtype, float)))
    assert np.allclose(out, wanted, rtol=0, atol=40 * parts * np.finfo(dtype).eps)


def test_combine_works_piece_by_piece_on_uneven_reordered_columns():
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((3000, 301))
    order = rng.permutation(301)
    blocks = Blocks(matrix, Spans(301, 3, order), 1)
    weights = rng.standard_normal((7, 3))
    out = np.full((7, *blocks.shape), np.nan)
    combine(weights, blocks, out)
    parts = [np.pad(part, ((0, 0), (0, 101 - part.shape[1]))) for part in np.array_split(matrix[:, order], 3, axis=1)]
    assert np.allclose(out, np.einsum("cp,pij->cij", weights, np.array(parts)), rtol=0, atol=1e-13)
