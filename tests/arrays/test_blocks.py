"""Splitting, padding and joining, against numpy's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kofn.arrays._blocks import Blocks, Grid
from kofn.arrays._spans import Spans

seeds = st.integers(0, 2**32 - 1)


@st.composite
def spans(draw):
    length = draw(st.integers(0, 40))
    count = draw(st.integers(1, max(1, length)))
    order = np.random.default_rng(draw(seeds)).permutation(length) if draw(st.booleans()) else None
    return Spans(length, count, order)


@given(spans())
def test_spans_cover_once_and_differ_by_at_most_one(cut):
    sizes = [span.stop - span.start for span in cut.slices]
    assert [i for span in cut.slices for i in range(span.start, span.stop)] == list(range(cut.length))
    assert max(sizes) - min(sizes) <= 1
    assert cut.size == max(sizes)
    assert [len(part) for part in np.array_split(np.arange(cut.length), cut.count)] == sizes


@given(spans(), st.integers(0, 5), st.sampled_from(["C", "F"]))
def test_row_and_column_blocks_are_transposes_of_each_other(cut, others, layout):
    matrix = np.array(np.arange(1.0, 1 + cut.length * others).reshape(cut.length, others), order=layout)
    rows, columns = Blocks(matrix, cut, 0), Blocks(matrix.T, cut, 1)
    stacked = rows.piece(0, cut.size)
    assert np.array_equal(stacked, columns.piece(0, others).transpose(0, 2, 1))
    assert stacked.shape == (cut.count, *rows.shape) == (cut.count, cut.size, others)
    ordered = matrix if cut.order is None else matrix[cut.order]
    for block, wanted in zip(stacked, np.array_split(ordered, cut.count), strict=True):
        assert np.array_equal(block[: len(wanted)], wanted)
        assert not block[len(wanted) :].any()


@given(spans(), st.integers(0, 5), st.integers(0, 1), st.data())
def test_a_piece_is_a_piece_of_the_whole(cut, others, axis, data):
    matrix = np.random.default_rng(0).standard_normal((cut.length, others) if axis == 0 else (others, cut.length))
    blocks = Blocks(matrix, cut, axis)
    stop = data.draw(st.integers(0, blocks.shape[0]))
    start = data.draw(st.integers(0, stop))
    assert np.array_equal(blocks.piece(start, stop), blocks.piece(0, blocks.shape[0])[:, start:stop])


@given(spans(), spans())
def test_a_grid_written_block_by_block_is_the_answer(rows, columns):
    answer = np.random.default_rng(0).standard_normal((rows.length, columns.length))
    grid = Grid(rows, columns)
    canvas = np.full(grid.shape, np.nan)
    row_order = np.arange(rows.length) if rows.order is None else rows.order
    column_order = np.arange(columns.length) if columns.order is None else columns.order
    wanted = [answer[np.ix_(r, c)] for r in np.array_split(row_order, rows.count)
              for c in np.array_split(column_order, columns.count)]  # fmt: skip
    for view, block in zip(grid.views(canvas), wanted, strict=True):
        middle = len(block) // 2
        view[:middle], view[middle:] = block[:middle], block[middle:]
    assert np.array_equal(canvas, answer)
