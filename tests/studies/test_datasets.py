"""Data sets: read as published or refused with a sentence that tells what to do."""

import gzip
import hashlib
import io
import struct
import sys
import tarfile

import numpy as np
import pytest

from kofn.errors import ArgumentError, CodeError, FileError, KofnError
from kofn_studies.datasets import Dataset, load, mnist_test_images, official
from kofn_studies.datasets.idx import array_of

SHAPES = {"train": (4, 28, 28), "t10k": (2, 28, 28)}


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small MNIST, whose checksums are taken for the official ones; training files packed, test files not."""
    rng = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, shape in SHAPES.items():
        for kind, content in (
            ("images-idx3", rng.integers(256, size=shape, dtype=np.uint8)),
            ("labels-idx1", np.arange(shape[0], dtype=np.uint8)),
        ):
            name = f"mnist/{part}-{kind}-ubyte"
            monkeypatch.setitem(official.SHA256, name, hashlib.sha256(idx(content)).hexdigest())
            packed = part == "train"
            path = tmp_path / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(idx(content)) if packed else idx(content))
    return tmp_path


def test_digits_are_all_there():
    from sklearn.datasets import load_digits

    data, whole = load("digits"), load_digits()
    images = np.concatenate([data.train_images, data.test_images])
    assert np.array_equal(images.reshape(-1, 64), whole.data)
    assert np.array_equal(np.concatenate([data.train_labels, data.test_labels]), whole.target)
    assert data.pixels(images).max() == 1.0


def test_mnist_is_read_packed_or_not(folder):
    data = load("mnist", folder)
    assert (data.name, data.shape) == ("MNIST", (1, 28, 28))
    assert data.train_labels.tolist() == [0, 1, 2, 3] and data.test_labels.tolist() == [0, 1]
    plain = np.frombuffer((folder / "mnist/t10k-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    assert np.array_equal(data.test_images.ravel(), plain)
    assert np.array_equal(mnist_test_images(folder), data.test_images[:, 0])


def test_a_missing_file_is_named_with_its_place_and_source(folder):
    (folder / "mnist/train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileError) as caught:
        load("mnist", folder)
    sentence = str(caught.value)
    assert f"must hold mnist/train-labels-idx1-ubyte.gz, but got {folder}" in sentence
    assert "get it from https://" in sentence


@pytest.mark.parametrize("place", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_no_file_but_the_official_one_is_read(folder, place, damage):
    path = folder / "mnist" / place
    content = path.read_bytes()
    path.write_bytes(content[:-3] if damage == "cut" else gzip.compress(idx(np.zeros((4, 28, 28), np.uint8))))
    with pytest.raises(FileError, match=r"a damaged|as published, but got another file"):
        load("mnist", folder)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", struct.pack(">2I", 0x801, 3) + b"ab", struct.pack(">2I", 0xD01, 1) + b"abcd", b"x" * 40]
)
def test_what_is_not_idx_is_refused(content):
    with pytest.raises(ValueError, match="IDX file"):
        array_of(content)


def test_idx_of_other_shape_is_refused(folder, monkeypatch):
    name = "mnist/t10k-labels-idx1-ubyte"
    (folder / name).write_bytes(b"plain")
    monkeypatch.setitem(official.SHA256, name, hashlib.sha256(b"plain").hexdigest())
    with pytest.raises(FileError, match="as published, but got not an IDX file"):
        load("mnist", folder)


# -- CIFAR-10 ------------------------------------------------------------------------------------------


def batch(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10, dtype=np.uint8), count // 10)[:, None]
    return np.hstack([labels, rng.integers(256, size=(count, 3072), dtype=np.uint8)]).tobytes()


def names():
    return [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


@pytest.mark.slow
def test_cifar10_as_published(tmp_path, monkeypatch):
    (tmp_path / "cifar10/cifar-10-batches-bin").mkdir(parents=True)
    batches = {name: batch(10_000, seed) for seed, name in enumerate(names())}
    for name, content in batches.items():
        (tmp_path / "cifar10/cifar-10-batches-bin" / name).write_bytes(content)
    data = load("cifar10", tmp_path)
    assert (data.name, data.shape, len(data.train_labels)) == ("CIFAR-10", (3, 32, 32), 50_000)
    assert data.test_images[7].tobytes() == batches["test_batch.bin"][7 * 3073 + 1 : 8 * 3073]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=0) as archive:
        archive.add(tmp_path / "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin")
    (tmp_path / official_archive()).write_bytes(packed.getvalue())
    with pytest.raises(FileError, match="as published, but got another file"):
        load("cifar10", tmp_path)
    monkeypatch.setitem(official.SHA256, official_archive(), hashlib.sha256(packed.getvalue()).hexdigest())
    assert np.array_equal(load("cifar10", tmp_path).train_images, data.train_images)


def official_archive():
    return "cifar10/cifar-10-binary.tar.gz"


def test_other_binary_files_are_refused(tmp_path):
    (tmp_path / "cifar10/cifar-10-batches-bin").mkdir(parents=True)
    with pytest.raises(FileError, match=r"must hold cifar10/cifar-10-batches-bin/data_batch_1.bin"):
        load("cifar10", tmp_path)
    for name in names():
        (tmp_path / "cifar10/cifar-10-batches-bin" / name).write_bytes(batch(100, 0))
    with pytest.raises(FileError, match="6 files of 10000 records"):
        load("cifar10", tmp_path)


def test_cifar10_of_jpeg_streams(tmp_path):
    image = pytest.importorskip("PIL.Image")
    smooth = np.broadcast_to(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (32, 32, 3))
    file = io.BytesIO()
    image.fromarray(smooth).save(file, "JPEG", quality=95)
    blob = np.frombuffer(file.getvalue() * 3, np.uint8)
    offsets = np.arange(4) * len(file.getvalue())
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10/cifar10_jpeg_streams.npz"
    np.savez(path, blob=blob, offsets=offsets, y=np.array([1, 2, 3], np.uint8), n_train=np.int64(2))
    data = load("cifar10", tmp_path)
    assert (data.name, data.test_labels.tolist()) == ("CIFAR-10, JPEG q75", [3])
    assert np.abs(data.train_images[1].transpose(1, 2, 0).astype(int) - smooth).max() <= 8
    held = {"blob": blob, "offsets": offsets, "y": np.array([1, 2, 3], np.uint8), "n_train": np.int64(2)}
    for wrong in (
        {"offsets": offsets + 5},
        {"offsets": offsets / 1.0},
        {"y": np.array([1, 2, 10])},
        {"y": np.array([1, -1, 3])},
        {"y": np.array([1, 2, 259])},  # 3, if only its last byte were kept
        {"y": np.array(["a", "b", "c"])},
        {"n_train": np.int64(-1)},
        {"n_train": np.int64(3)},
        {"n_train": np.arange(2)},
    ):
        np.savez(path, **{**held, **wrong})
        with pytest.raises(FileError, match="must hold JPEG images"):
            load("cifar10", tmp_path)


def test_the_lossless_part_of_cifar10(tmp_path):
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10/cifar10_lossless_part.npz"
    images = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 32, 32, 3)
    labels = np.array([4, 5], np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    data = load("cifar10", tmp_path)
    assert data.name == "CIFAR-10, first 2 + 1" and np.array_equal(data.train_images[1, 2], images[1, :, :, 2])
    np.savez(path, x_train=np.array([object()]), y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(FileError, match="must be a whole npz file"):
        load("cifar10", tmp_path)
    np.savez(path, x_train=images, y_train=labels[:1], x_test=images, y_test=labels)
    with pytest.raises(FileError, match="do not fit together"):
        load("cifar10", tmp_path)
    np.savez(path, x_train=images / 255, y_train=labels, x_test=images / 255, y_test=labels)
    with pytest.raises(FileError, match="images of float64 and labels of uint8 are not bytes"):
        load("cifar10", tmp_path)


# -- arguments -----------------------------------------------------------------------------------------


def test_what_cannot_be_loaded_gets_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="'name' must be one of 'digits', 'mnist'"):
        load("imagenet")
    with pytest.raises(ArgumentError, match="'data' must name the folder that holds mnist/"):
        load("mnist")
    with pytest.raises(FileError, match=r"must hold cifar10/cifar-10-binary\.tar\.gz"):
        load("cifar10", tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(KofnError, match=r"pip install 'kofn\[demo\]'"):
        load("digits")


def test_a_data_set_fits_together():
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1], np.uint8)
    with pytest.raises(CodeError, match="label 1 is none of 1 classes"):
        Dataset("x", images, labels, images, labels, ["no"])
    with pytest.raises(CodeError, match="do not fit together"):
        Dataset("x", images, labels[:2], images, labels, ["no", "yes"])
    whole = Dataset("x", images, labels, images, labels, ["no", "yes"])
    assert whole.first(10, 10) is whole and whole.first(2, 1).name == "x, first 2 + 1"
    with pytest.raises(ArgumentError, match="'train' must be an int of at least 1"):
        whole.first(0, 1)


def test_a_folder_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match="'data' must be the path of a folder, but got 3"):
        load("mnist", 3)
