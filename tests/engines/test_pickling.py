"""Values on their way: what travels apart, who may write where."""

import pickle

import numpy as np
import pytest

from kofn.engines._pickling import BufferedPickle
from kofn.engines.local._shared_memory import INLINE


def travelled(payload):
    """A payload as the other process has it."""
    buffers = []
    stream = pickle.dumps(payload, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(stream, buffers=[bytes(buffer.raw()) for buffer in buffers])


@pytest.mark.parametrize("size", [0, 1, 10, INLINE])
def test_every_view_is_private(size):
    payload = travelled(BufferedPickle.of({"x": np.arange(float(size)), "y": np.zeros(0), "z": "text"}))
    for _ in range(3):
        value = payload.view()
        assert np.array_equal(value["x"], np.arange(size)) and value["y"].shape == (0,) and value["z"] == "text"
        value["x"] += 1
    again = travelled(payload).view()  # as when Dask copies it to another worker, after a first use
    assert np.array_equal(again["x"], np.arange(size))


def test_what_comes_back_can_be_written_to():
    result = travelled(BufferedPickle.of(np.ones(5))).open()
    result += 1
    assert result.tolist() == [2.0] * 5


def test_a_copy_is_not_touched_by_later_changes():
    x = np.ones(1000)
    kept, shared = BufferedPickle.of(x, copy=True), BufferedPickle.of(x)
    x[:] = 2
    assert kept.open().sum() == 1000
    assert shared.open().sum() == 2000


def test_size_counts_buffers():
    payload = BufferedPickle.of(np.ones(1000))
    assert 8000 < payload.size == payload.__sizeof__() < 9000
    assert np.array_equal(BufferedPickle(*payload.plain()).open(), np.ones(1000))


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(10)[::2], np.array([None])]
)
def test_any_layout_travels(array):
    back = travelled(BufferedPickle.of(array)).view()
    assert np.array_equal(back, array) and back.flags.f_contiguous >= array.flags.f_contiguous
