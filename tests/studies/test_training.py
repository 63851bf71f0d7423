"""Training studies: the paper's networks and settings, what is noted down, and going on after a kill."""

import dataclasses
import json
import math
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kofn  # noqa: E402
from kofn.errors import ArgumentError, FileError, KofnError  # noqa: E402
from kofn_studies.datasets.part import Part  # noqa: E402
from kofn_studies.training.methods import METHODS  # noqa: E402
from kofn_studies.training.networks import convolutional_network, dense_network  # noqa: E402
from kofn_studies.training.run import TrainingRun, curve_of  # noqa: E402
from kofn_studies.training.sgd import SgdSchedule, accuracy, train  # noqa: E402
from kofn_studies.training.sparsity import fitted_before_relu, snapshot  # noqa: E402
from processes import slow_but  # noqa: E402

IMAGES = Part("digits", 256, 100)
SHORT = SgdSchedule(epochs=1, batch=64, learning_rate=0.1, marks=2)


def run(**options):
    return dataclasses.replace(TrainingRun(IMAGES, "dense", SHORT, "ew", "rxc", 0.5, 0), **options)


@pytest.fixture(scope="module")
def data():
    return IMAGES.load(None)


# -- networks and the course ---------------------------------------------------------------------------


def test_the_networks_are_those_of_the_paper():
    """Numbers of weights as Fig. 12 and Table V give them (Table VI for the last layer)."""
    count = lambda network: sum(parameter.numel() for parameter in network.parameters())  # noqa: E731
    assert count(dense_network((1, 28, 28), 10, 0)) == 785 * 100 + 101 * 200 + 201 * 10
    convolutions = (9 * 3 + 1) * 32 + (9 * 32 + 1) * 32
    dense = 7201 * 512 + 513 * 256 + 257 * 10
    network = convolutional_network((3, 32, 32), 10, 0)
    assert count(network) == convolutions + dense
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_step_is_that_of_gradient_descent_written_out(data):
    """One mini-batch, the gradient of the last layer by hand: softmax minus one-hot, times its inputs."""
    network = dense_network(data.shape, 10, 0)
    before = network[-1].weight.detach().clone()
    images, labels = torch.from_numpy(data.pixels(data.train_images)), data.train_labels
    with torch.no_grad():
        inputs, scores = network[:-1](images), network(images)
    slope = scores.softmax(1) - torch.eye(10)[labels.astype(int)]
    curve = train(network, data, SgdSchedule(epochs=1, batch=256, learning_rate=0.5, marks=1), seed=0)
    assert torch.allclose(network[-1].weight, before - 0.5 * slope.T @ inputs / 256, atol=1e-6)
    assert curve.train == (float((scores.argmax(1).numpy() == labels).mean()),)


def test_a_course_is_that_of_pytorch_to_the_last_bit(data):
    """Against PyTorch's own optimiser, a backward pass at a time, on mini-batches that are picked out one by one."""
    course, ours, theirs = SgdSchedule(2, 48, 0.1, marks=1), *(dense_network(data.shape, 10, 0) for _ in range(2))
    curve = train(ours, data, course, seed=3)
    optimiser, rng, right = torch.optim.SGD(theirs.parameters(), lr=0.1), np.random.default_rng(3), []
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels.astype(np.int64))
    for _ in range(2):
        order = rng.permutation(len(labels))
        right.append(0)
        for start in range(0, len(labels), 48):
            chosen = order[start : start + 48]
            scores = theirs(images[chosen].float() / data.white)
            right[-1] += int((scores.argmax(1) == labels[chosen]).sum())
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(scores, labels[chosen]).backward()
            optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert curve.train == tuple(count / len(labels) for count in right)


def test_accuracies_are_noted_at_the_marks(data):
    course = SgdSchedule(epochs=2, batch=100, learning_rate=0.1, marks=2)
    network = dense_network(data.shape, 10, 0)
    curve = train(network, data, course, seed=0)
    assert curve.steps == course.marked(256) == (2, 3, 5, 6)
    assert curve.test[-1] == accuracy(network, data)
    assert SgdSchedule(epochs=2, batch=64, marks=100).marked(256) == tuple(range(1, 9))


def test_the_same_seed_trains_the_same(data):
    curves = [train(dense_network(data.shape, 10, seed), data, SHORT, seed) for seed in (0, 0, 1)]
    assert curves[0] == curves[1] != curves[2]


def test_a_network_that_diverges_guesses(data):
    model = METHODS["uncoded-rescaled"].network(dense_network(data.shape, 10, 0), "rxc", 1.0, 0)
    curve = train(model, data, SgdSchedule(epochs=10, batch=64, learning_rate=1e4, marks=1), seed=0)
    assert len(curve.steps) == 10 and max(curve.test[1:]) < 0.3


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch", 0), ("marks", 0), ("learning_rate", 0.0)])
def test_courses_that_teach_nothing_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"'{name}' must be"):
        SgdSchedule(**{name: value})


# -- contenders ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    return run(
        course=dataclasses.replace(SHORT, marks=4), contender="no-straggler", partition=None, deadline=None
    ).curve(None)


@pytest.mark.parametrize("partition", slow_but(["rxc", "cxr"], {"cxr"}))
@pytest.mark.parametrize("name", METHODS)
def test_with_all_the_time_in_the_world_everybody_trains_like_no_straggler(plain, name, partition):
    course = dataclasses.replace(SHORT, marks=4)
    curve = run(course=course, contender=name, partition=partition, deadline=None).curve(None)
    assert np.allclose(curve.test, plain.test, atol=0.02) and np.allclose(curve.train, plain.train, atol=0.02)


def test_table_vii():
    workers = {name: method.workers for name, method in METHODS.items()}
    assert (workers["uncoded"], workers["rep2"], workers["now"], workers["ew"]) == (9, 18, 15, 15)
    model = METHODS["ew"].network(convolutional_network((1, 8, 8), 10, 0), "cxr", 1.0, 0)
    coded = [type(layer).__name__ for layer in model.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    assert coded == ["Conv2d", "Conv2d", "CodedLinear", "CodedLinear", "CodedLinear"]


# -- runs ----------------------------------------------------------------------------------------------


def test_whatever_a_result_depends_on_tells_runs_apart():
    changes = [
        {"images": Part("digits", 255, 100)}, {"network": "convolutional"}, {"course": SgdSchedule()},
        {"contender": "now"}, {"partition": "cxr"}, {"deadline": 1.0}, {"seed": 1}, {"warm_up": SHORT},
        {"device": "cuda"},
    ]  # fmt: skip
    assert {name for change in changes for name in change} == {field.name for field in dataclasses.fields(TrainingRun)}
    assert len({run(**change).digest for change in [{}, *changes]}) == 10


def test_a_result_is_a_curve_in_arrays():
    one = run(contender="kronecker")
    assert curve_of(one.compute(None)) == one.curve(None)


def test_a_part_of_a_data_set_is_its_first_images(data):
    whole = Part("digits").load(None)
    assert np.array_equal(data.train_images, whole.train_images[:256]) and len(data.test_labels) == 100
    assert IMAGES.load("nowhere") is IMAGES.load(None)  # digits need no folder
    assert IMAGES.found(None).content == data.name != whole.name


def test_what_comes_first_is_the_same_for_everybody():
    warm = dataclasses.replace(SHORT, epochs=2)
    plain = run(contender="no-straggler", partition=None, deadline=None, warm_up=warm)
    coded = run(contender="kronecker-rescaled", deadline=2.0, warm_up=warm)
    first = plain.curve(None)
    assert coded.curve(None) == coded.curve(None) != first == plain.curve(None)
    assert first.test[-1] > dataclasses.replace(plain, warm_up=None).curve(None).test[-1]


# -- communication -------------------------------------------------------------------------------------


def test_traffic_is_what_encoded_arrays_hold():
    """Counted on arrays: what `kofn.schemes` encodes for a worker, and what it gives back."""
    from kofn.schemes import kronecker
    from kofn_studies.training.communication import coded_products, data_parallel

    sizes, batch = (18, 9, 6), 12
    products = [
        (np.ones((18, 12)), np.ones((12, 9))),
        (np.ones((9, 12)), np.ones((12, 6))),
        (np.ones((12, 6)), np.ones((6, 9))),
    ]
    moved = flops = 0
    for a, b in products:
        for task in kronecker(a, b, blocks=(3, 3), rows=15, rng=0).encoding().encode(np.empty):
            first, second = [
                array for array in (*task.resident.values(), *task.arguments) if isinstance(array, np.ndarray)
            ]
            moved += first.size + second.size + (first @ second).size
            flops += 2 * first.shape[0] * first.shape[1] * second.shape[1]
    found = coded_products(sizes, batch, (3, 3), 15)
    assert (found.numbers, found.flops, found.rounds) == (moved, flops, 2)
    network = torch.nn.Sequential(torch.nn.Linear(18, 9), torch.nn.Linear(9, 6))
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert data_parallel(sizes, batch, 15).numbers == 2 * 15 * weights


# -- sparsity ------------------------------------------------------------------------------------------


def test_the_matrices_are_those_of_back_propagation(data):
    """G of the last layer is softmax minus one-hot over the batch; X V + b is what the next layer's ReLU sees."""
    network = dense_network(data.shape, 10, 0)
    seen = snapshot(network, data, SHORT, seed=0)
    inputs = seen["inputs", 3].reshape(64, 200)
    scores = inputs @ seen["weights", 3].reshape(10, 200).T + network[-1].bias.detach().double().numpy()
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = (softmax - np.eye(10)[data.train_labels[-64:]]) / 64
    assert np.allclose(seen["gradients", 3].reshape(64, 10), expected, atol=1e-6)
    through = expected @ seen["weights", 3].reshape(10, 200) * (inputs > 0)
    assert np.allclose(seen["gradients", 2].reshape(64, 200), through, atol=1e-6)


def test_a_fit_before_relu_finds_the_gaussian():
    rng = np.random.default_rng(1)
    for mean, deviation in ((-1.0, 1.0), (2.0, 1.5)):
        found = fitted_before_relu(np.maximum(rng.normal(mean, deviation, 200_000), 0.0), 1e-9)
        assert found.mean == pytest.approx(mean, abs=0.03) and math.sqrt(found.variance) == pytest.approx(
            deviation, 0.02
        )


# -- figures -------------------------------------------------------------------------------------------

SERIES = [
    "no-straggler", "uncoded", "rep2", "now", "ew", "now-lmmse", "ew-lmmse", "kronecker", "kronecker-rescaled",
    "kronecker-rescaled-late", "uncoded-rescaled",
]  # fmt: skip


@pytest.mark.slow
def test_quick_figures_share_their_runs(tmp_path, monkeypatch):
    from kofn_studies.figures import FIGURES, Request, training_setting, uep_fig15

    assert list(METHODS) == [*SERIES, *training_setting.WIDE] and list(training_setting.NAMES) == SERIES
    for module in (training_setting, uep_fig15):
        monkeypatch.setattr(module, "DEADLINES", (1.0,))
    request, found = Request(2, quick=True), {}
    studies = {name: FIGURES[name].plan(request) for name in ("uep-fig15", "uep-fig13", "uep-fig14")}
    for point in (point for study in studies.values() for point in study.points):
        found[point] = found[point] if point in found else point.compute(None)
    figures = {name: study.figure(found) for name, study in studies.items()}
    assert len(found) == 2 * (1 + 10 * 2)
    by_deadline = figures["uep-fig15"]
    wanted = [f"{name}-{part}{end}" for part in ("rxc", "cxr") for name in SERIES for end in ("", "-train")]
    assert by_deadline.names == wanted and by_deadline["ew-cxr"].x == (1.0,)
    reached = {name: by_deadline[f"{name}-rxc"].y[0] for name in SERIES}
    assert reached["kronecker-rescaled"] > reached["no-straggler"] - 0.05
    assert reached["kronecker-rescaled"] - 0.05 > reached["ew-lmmse"] > reached["ew"] + 0.05 > reached["uncoded"]
    for name, part in (("uep-fig13", "rxc"), ("uep-fig14", "cxr")):
        figure = figures[name]
        assert set(figure.names) == {f"{s}-{part}{e}@1" for s in SERIES for e in ("", "-train")}
        assert figure[f"kronecker-{part}@1"].y[-1] == by_deadline[f"kronecker-{part}"].y[0]
        assert "scikit-learn's digits" in figure.title and figure.trials == 2
    for name, figure in figures.items():
        assert json.loads(json.dumps(figure.json, allow_nan=False))["id"] == name
        FIGURES[name].draw(figure).savefig(tmp_path / f"{name}.png", dpi=30)


@pytest.mark.parametrize("name", slow_but(["uep-fig1", "uep-fig5", "uep-table2"], {"uep-fig5"}))
def test_other_quick_figures(name, tmp_path, monkeypatch):
    from kofn_studies.figures import FIGURES, Request, uep_fig1

    if name == "uep-fig1":
        for module in (uep_fig1, sys.modules["kofn_studies.figures.training_setting"]):
            monkeypatch.setattr(module, "NAMES", ("no-straggler", "kronecker-rescaled"))
        monkeypatch.setattr(uep_fig1, "WIDE", ("kronecker-principal-late-wide",))
    figure = FIGURES[name].figure(Request(2, quick=True))
    assert json.loads(json.dumps(figure.json, allow_nan=False))["published"]
    if name == "uep-table2":
        assert figure["layer-2"].x == ("gradients", "weights", "inputs") and figure.names == [
            entry.name for entry in figure.published
        ]
    if name == "uep-fig5":
        density, histogram = figure["weights-2"], figure["weights-2-histogram"]
        width = density.x[1] - density.x[0]
        assert sum(density.y) * width == pytest.approx(1, abs=0.01) == pytest.approx(sum(histogram.y) * width, abs=0.02)
    if name == "uep-fig1":
        assert figure.names[2::2] == ["kronecker-rescaled-rxc", "kronecker-principal-late-wide-rxc"]
        assert figure[figure.names[0]].x == (2.0,) and "after 1 epoch without stragglers" in figure.title
    FIGURES[name].draw(figure).savefig(tmp_path / "picture.png", dpi=30)


def test_figures_refuse_what_is_not_there(tmp_path):
    from kofn_studies.figures import FIGURES, Request

    with pytest.raises(FileError, match=r"must hold mnist/train-images-idx3-ubyte\.gz"):
        FIGURES["uep-fig13"].figure(Request(2, data=str(tmp_path)))
    with pytest.raises(FileError, match="must hold cifar10/"):
        FIGURES["uep-fig1"].figure(Request(2, data=str(tmp_path)))


@pytest.mark.parametrize("device", ["nonsense", "meta", f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_computed(device, tmp_path, capsys):
    """``meta`` has tensors without numbers, and of graphics cards there is one less than asked for."""
    from kofn.cli import main

    for name in ("uep-fig15", "uep-table2", "aicc-table1"):
        folder = tmp_path / name
        assert main(["figure", name, "--quick", "--out", str(folder), "--device", device]) == 2
        told = capsys.readouterr().err
        assert told.startswith("kofn figure: '--device' must be one that PyTorch has here (cpu")
        assert told.endswith(f"), but got {device}; use cpu.\n") and told.count("\n") == 1
        assert not folder.exists()
    assert main(["figure", "uep-fig13", "--out", str(folder), "--data", str(tmp_path)]) == 2  # no mnist/ there
    assert "must hold mnist/" in capsys.readouterr().err and not folder.exists()


def test_all_that_is_trained_is_trained_on_the_device_that_was_asked_for():
    from kofn_studies.figures import FIGURES, Request

    for name in ("uep-fig1", "uep-table2", "uep-fig13", "aicc-table1"):
        points = FIGURES[name].plan(Request(2, quick=True, device="cpu:0")).points
        assert {getattr(point, "cell", point).device for point in points} == {"cpu:0"}


def test_without_pytorch_there_is_a_sentence(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[:2] == ["kofn", "training"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delattr(kofn, "training", raising=False)
    from kofn_studies.figures import FIGURES, Request

    with pytest.raises(KofnError, match=r"pip install 'kofn\[torch\]'"):
        FIGURES["uep-fig15"].figure(Request(2, quick=True))
