"""Payloads, segments and maps, without any process."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from kofn.engines.local._mmap import MappedBytes, map_private, map_shared, restore
from kofn.engines.local._shared_memory import ALIGNMENT, INLINE, Segment, SegmentStore, SharedPickle, pack, unpack

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="looks at memory files")


def opened(payload: SharedPickle) -> dict[int, MappedBytes]:
    return {segment.id: map_private(segment.fd, segment.size) for segment in payload.segments}


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("size", [0, 1, INLINE - 500, INLINE, 3 * INLINE + 1])
def test_what_is_packed_is_what_is_unpacked(size: int) -> None:
    value = {"a": np.arange(size, dtype=np.uint8), "b": [np.ones(3), "text"]}
    payload = pack(value)
    assert (payload.fresh is not None) == (size >= INLINE)
    back = unpack(payload.frames, opened(payload))
    assert np.array_equal(back["a"], value["a"])
    assert back["b"][1] == "text"
    back["a"][:] = 0  # writable, whichever way it came
    assert all(frame[1] % ALIGNMENT == 0 for frame in payload.frames if isinstance(frame, tuple))


def test_arrays_of_the_store_are_not_copied() -> None:
    store = SegmentStore(lambda: None)
    array = store.empty((1000, 10), np.float64)
    array[:] = np.arange(10.0)
    neighbour = store.empty((20_000,), np.float64)
    payload = pack((array[200:400], neighbour), store)
    assert payload.fresh is None
    assert len(payload.segments) == 2
    assert payload.frames[1][1:] == (200 * 80, 200 * 80)  # offset and length
    back, _ = unpack(payload.frames, opened(payload))
    assert np.array_equal(back, array[200:400])


def test_a_segment_ends_with_its_last_user() -> None:
    store = SegmentStore(lambda: None)
    array = store.empty((20_000,), np.float64)
    payload = pack(array, store)
    fd, identity = payload.segments[0].fd, payload.segments[0].id
    view = array[10:20]
    del array
    gc.collect()
    assert store.find(memoryview(view).cast("B")) is not None
    del view
    gc.collect()
    assert is_open(fd)  # the payload holds it
    assert not store.freed
    del payload
    gc.collect()
    assert not is_open(fd)
    assert list(store.freed) == [identity]


def test_small_arrays_are_sent_rather_than_shared() -> None:
    store = SegmentStore(lambda: None)
    payload = pack(store.empty((10,), np.float64), store)
    assert not payload.segments and payload.fresh is None


def test_other_arrays_are_not_found() -> None:
    store = SegmentStore(lambda: None)
    kept = store.empty((20_000,), np.float64)
    assert store.find(memoryview(np.ones(10)).cast("B")) is None
    assert store.find(memoryview(kept[:0]).cast("B")) is None


def test_private_writes_stay_private_and_are_undone() -> None:
    segment = Segment()
    segment.write([memoryview(np.arange(10_000.0)).cast("B")])
    shared, private = map_shared(segment.fd, segment.size), map_private(segment.fd, segment.size)
    array = np.frombuffer(memoryview(private), np.float64)
    array[[0, 5000, -1]] = -1.0
    assert np.array_equal(np.frombuffer(memoryview(shared), np.float64), np.arange(10_000.0))
    restore(private)
    assert np.array_equal(array, np.arange(10_000.0))


def test_a_map_outlives_its_descriptor_and_its_name() -> None:
    segment = Segment()
    segment.write([memoryview(b"x" * 5000)])
    fd = segment.fd
    array = np.frombuffer(memoryview(map_shared(fd, segment.size)), np.uint8)
    del segment
    gc.collect()
    assert not is_open(fd)
    assert array.tobytes() == b"x" * 5000
