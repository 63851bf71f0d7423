"""AICC in PyTorch: the architecture, training that resumes to the last bit, codes that come back from files."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

import kofn
from kofn.errors import FileError
from kofn.testing import decode_rows
from kofn.tuning.learned import Nodes, load_code, save_code, structured_code
from kofn_studies.aicc.measure import interpolated
from kofn_studies.aicc.problems import PROBLEMS

torch = pytest.importorskip("torch")

from kofn_studies.aicc.network import HIDDEN, Aicc, Sizes  # noqa: E402
from kofn_studies.aicc.training import Schedule, train  # noqa: E402

PAPER = {"size": 4, "inputs": 3, "outputs": 4, "degree": 2, "power": 2}
SHORT = Schedule(epochs=3, steps=2, batch=4, validation=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(name, sets, size, inputs=3, seed=0):
    X = PROBLEMS[name].sample(np.random.default_rng(seed), (sets, inputs), size)
    return X, PROBLEMS[name].function(X)


def model(seed=0, size=4, inputs=3, degree=2, power=2, outputs=4):
    return Aicc(Sizes.paper(size, inputs, outputs, degree, power), Nodes.paper(inputs, 8).betas, seed)


def test_the_architecture_is_that_of_section_iii():
    aicc = model(inputs=3, degree=2)
    assert HIDDEN == 100
    for network, outputs in [*((gamma, 16) for gamma in aicc.gammas), (aicc.lambda_0, 4)]:
        shapes = [tuple(parameter.shape) for parameter in network.parameters()]
        assert shapes == [(100, 48), (100,), (100, 100), (100,), (outputs, 100), (outputs,)]
    assert len(aicc.gammas) == 3 and [tuple(w.shape) for w in aicc.weights] == [(4, 16), (4, 16)]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Sizes.paper(**{**PAPER, "power": 0}), "'power' must be an int of at least 1, but got 0"),
        (lambda: Sizes.paper(**{**PAPER, "size": "4"}), "'size' must be an int of at least 1, but got '4'"),
        (lambda: Aicc(3, Nodes.paper(3, 8).betas, 0), "'sizes' must be kofn_studies.aicc.network.Sizes, but got 3"),
        (lambda: model(seed="0"), "'seed' must be an int of at least 0, but got '0'"),
        (lambda: Aicc(Sizes.paper(**PAPER), [0.1, 0.2], 0), "'betas' must be K = 3 nodes, one an input, but got 2"),
        (lambda: Aicc(Sizes.paper(**PAPER), [0.1, 0.1, 0.2], 0), "'betas' must be distinct finite numbers"),
        (lambda: model().code(Nodes.paper(3, 8), *drawn("P1", 9, 5)), r"'inputs' must have shape \(draws, 3, 4, 4\)"),
        (lambda: model().code(Nodes.paper(3, 8), *drawn("P4", 9, 4)), "'values' must hold V = 4 numbers of each input"),
    ],
)
def test_sizes_nodes_and_samples_that_do_not_fit_are_refused(call, sentence):
    with pytest.raises(kofn.ArgumentError, match=sentence):
        call()


@pytest.mark.parametrize(("inputs", "degree", "power"), [(3, 2, 2), (2, 1, 4), (6, 2, 2), (4, 4, 1)])
def test_any_r_results_of_eq_4_give_the_outputs_of_eq_5(inputs, degree, power):
    aicc = model(inputs=inputs, degree=degree, power=power)
    X, values = drawn("P1", sets=4, size=4, inputs=inputs)
    code = aicc.code(Nodes.paper(inputs, 8), X, values)
    assert code.recover == degree * power + 1
    with torch.inference_mode():
        wanted = aicc.double()(torch.as_tensor(X[0])).numpy()
    for rows in list(combinations(range(8), code.recover))[::9]:
        found = decode_rows(interpolated(code, X[0]), rows)[0]
        assert np.allclose(found, wanted, rtol=0, atol=1e-7 * np.abs(wanted).max())


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_numpy_and_torch_agree_on_a_problem(name):
    problem = PROBLEMS[name]
    X = problem.sample_torch(torch.Generator().manual_seed(0), (5,), 4).double()
    assert np.allclose(problem.function_torch(X).numpy(), problem.function(X.numpy()), atol=1e-12)
    low, high = problem.interval(4)
    A = np.random.default_rng(0).uniform(low, high, (3, 4, 4))
    assert np.allclose(problem.shaped(torch.as_tensor(A)).numpy(), problem.shaped(A), rtol=1e-14)


def test_the_cost_of_p2_has_a_term_for_the_norm():
    estimate, truth = torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 1.0]])
    assert float(PROBLEMS["P1"].cost(estimate, truth)) == 2
    assert float(PROBLEMS["P2"].cost(estimate, truth)) == 2 + 5 * 2**2


def test_the_rate_decays_exponentially():
    rates = [Schedule(epochs=11, first_rate=1e-3, last_rate=1e-6).rate(epoch) for epoch in range(11)]
    assert np.isclose(rates[0], 1e-3) and np.isclose(rates[-1], 1e-6)
    assert np.allclose(np.diff(np.log(rates)), np.log(1e-3) / 10)


def test_training_lowers_the_cost_and_keeps_the_best_epoch():
    aicc = model()
    schedule = Schedule(epochs=3, steps=16, batch=8, validation=32)
    trained = train(aicc, PROBLEMS["P1"], schedule)
    assert trained.epoch == 3 and trained.costs[trained.best_epoch] == min(trained.costs) < 0.5 * trained.costs[0]
    again = train(model(), PROBLEMS["P1"], schedule)
    assert again.costs == trained.costs


@pytest.mark.parametrize("name", ["P2", "P4"])
def test_a_centred_start_answers_with_the_mean_and_learns_at_paces_of_its_own(name):
    """Where the plain random start of P2 is far from f, and one step of Adam takes it further away."""
    X, values = (torch.as_tensor(array, dtype=torch.float32) for array in drawn(name, sets=60, size=12))
    outputs = values.shape[-1]
    aicc, plain = (model(size=12, outputs=outputs) for _ in range(2))
    aicc.centre(X, values)
    mean = values.mean((0, 1))
    spread = float((values - mean).square().mean().sqrt())
    with torch.inference_mode():
        start = aicc(X)
    assert torch.allclose(start.mean((0, 1)), mean, atol=1e-3 * spread)
    assert 0.01 * spread < float((start - mean).square().mean().sqrt()) < 0.2 * spread
    problem, schedule = PROBLEMS[name], Schedule(epochs=1, steps=16, batch=16, validation=64)
    costs = {kind: train(one, problem, schedule).costs for kind, one in (("plain", plain), ("centred", aicc))}
    constant = float(problem.cost(mean.expand(values.shape), values).mean())
    assert costs["centred"][1] < 1.1 * constant < costs["plain"][1]


def test_a_structured_start_is_the_closed_form_and_never_gets_worse():
    X, values = drawn("P2", sets=60, size=5)
    closed = structured_code(X, values, recover=5, rows=8)
    aicc = Aicc.from_code(closed, seed=0)
    with torch.inference_mode():
        start = aicc(torch.as_tensor(X[0], dtype=torch.float32)).numpy()
    assert np.allclose(start, decode_rows(interpolated(closed, X[0]), range(5))[0], atol=2e-6)
    wild = train(aicc, PROBLEMS["P2"], replace(SHORT, first_rate=10.0, last_rate=10.0))
    assert wild.best_epoch == 0
    with torch.inference_mode():
        assert np.array_equal(aicc(torch.as_tensor(X[0], dtype=torch.float32)).numpy(), start)


class Killed(Exception):
    pass


def killed_after(epochs):
    def progress(now):
        if now.epoch == epochs:
            raise Killed

    return progress


@pytest.mark.parametrize("epochs", [1, 2])
def test_training_that_was_killed_goes_on_to_the_last_bit(tmp_path, epochs):
    whole, broken = model(), model()
    wanted = train(whole, PROBLEMS["P1"], SHORT)
    with pytest.raises(Killed):
        train(broken, PROBLEMS["P1"], SHORT, checkpoint=tmp_path / "c", progress=killed_after(epochs))
    resumed = model()
    seen = []
    found = train(
        resumed, PROBLEMS["P1"], SHORT, checkpoint=tmp_path / "c", progress=lambda now: seen.append(now.epoch)
    )
    assert seen == list(range(epochs, 4)) and found.costs == wanted.costs
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])


def refused(call, *words):
    with pytest.raises(FileError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and all(word in text for word in words), text


def test_a_checkpoint_of_something_else_or_cut_short_is_refused(tmp_path):
    place = tmp_path / "c"
    train(model(), PROBLEMS["P1"], SHORT, checkpoint=place)
    refused(lambda: train(model(), PROBLEMS["P4"], SHORT, checkpoint=place), "problem")
    refused(lambda: train(model(seed=1), PROBLEMS["P1"], SHORT, checkpoint=place), "sizes")
    refused(lambda: train(model(), PROBLEMS["P1"], replace(SHORT, steps=3), checkpoint=place), "steps")
    place.write_bytes(place.read_bytes()[:-10])
    refused(lambda: train(model(), PROBLEMS["P1"], SHORT, checkpoint=place), "whole checkpoint", "remove it")


def lied(place, change):
    """Write a checkpoint down again with something changed in what it says and in its tensors."""
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(place, "pt") as file:
        said = json.loads(file.metadata()["kofn"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    change(said, tensors)
    place.write_bytes(save(tensors, metadata={"kofn": json.dumps(said)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda said, tensors: tensors.pop("now.weights.0"),
        lambda said, tensors: tensors.pop("best.weights.0"),
        lambda said, tensors: tensors.update({"now.weights.0": torch.zeros(3, 3)}),
        lambda said, tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("adam.0.")],
        lambda said, tensors: tensors.update({"adam.0.exp_avg": torch.zeros(2)}),
        lambda said, tensors: said.update(costs="none"),
        lambda said, tensors: said.update(costs=[]),
        lambda said, tensors: said.update(of=3),
    ],
    ids=["weights", "best", "shape", "moments", "moments' shape", "costs", "no costs", "identity"],
)
def test_a_checkpoint_that_lacks_something_is_refused(tmp_path, change):
    place = tmp_path / "c"
    train(model(), PROBLEMS["P1"], SHORT, checkpoint=place)
    lied(place, change)
    refused(lambda: train(model(), PROBLEMS["P1"], SHORT, checkpoint=place), "whole checkpoint", "remove it")


def test_a_checkpoint_of_another_start_is_refused(tmp_path):
    """Sizes and seed are the same, but the closed form that training began at is another."""
    place = tmp_path / "c"
    code = structured_code(*drawn("P1", sets=20, size=4), recover=5, rows=8)
    other = replace(code, encoder=replace(code.encoder, constant=code.encoder.constant + 1))
    train(Aicc.from_code(code, seed=0), PROBLEMS["P1"], SHORT, checkpoint=place)
    again = Aicc.from_code(other, seed=0)
    refused(lambda: train(again, PROBLEMS["P1"], SHORT, checkpoint=place), "where constant differ", "name another file")


@cache
def made(kind):
    X, values = drawn("P1", sets=20, size=4)
    if kind == "structured":
        return structured_code(X, values, recover=5, rows=8)
    aicc = model() if kind == "aicc" else Aicc.from_code(made("structured"), seed=0)
    train(aicc, PROBLEMS["P1"], SHORT)
    return aicc.code(Nodes.paper(3, 8) if kind == "aicc" else made("structured").nodes, X, values)


PROGRAM = """
import hashlib, sys
import numpy as np
from kofn.testing import decode_rows
from kofn.tuning.learned import load_code
for name in sys.argv[1:]:
    X = np.random.default_rng(0).uniform(size=(3, 4, 4))
    value, error = decode_rows(load_code(name).evaluations(X), [1, 2, 4, 5, 7])
    print(hashlib.sha256(value.tobytes()).hexdigest(), error)
"""


def test_codes_come_back_in_a_new_process_to_the_last_bit(tmp_path):
    names, wanted = [], []
    for kind in ("structured", "aicc", "tuned"):
        names.append(tmp_path / f"{kind}.safetensors")
        code = made(kind)
        save_code(code, names[-1])
        value, error = decode_rows(code.evaluations(np.random.default_rng(0).uniform(size=(3, 4, 4))), [1, 2, 4, 5, 7])
        wanted.append(f"{hashlib.sha256(value.tobytes()).hexdigest()} {error}")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * 3 + [".safetensors"] * 3
    done = subprocess.run([sys.executable, "-c", PROGRAM, *names], capture_output=True, check=True, timeout=120)
    assert done.stdout.decode().splitlines() == wanted


WITHOUT_STUDIES = """
import sys
sys.modules["kofn_studies"] = None  # as if it were not installed
from kofn.errors import MissingPackage
from kofn.tuning.learned import load_code
load_code(sys.argv[1])
try:
    load_code(sys.argv[2])
except MissingPackage as error:
    print(error)
"""


def test_without_the_studies_a_code_of_networks_says_what_to_install(tmp_path):
    names = [tmp_path / f"{kind}.safetensors" for kind in ("structured", "aicc")]
    for name in names:
        save_code(made(name.stem), name)
    done = subprocess.run([sys.executable, "-c", WITHOUT_STUDIES, *names], capture_output=True, check=True, timeout=60)
    told = done.stdout.decode().strip()
    assert told == "a learned code with an encoder of networks needs kofn_studies; install it with pip install kofn."


def test_a_trained_code_runs_on_workers():
    code, X = made("tuned"), drawn("P1", 1, 4, seed=5)[0][0]
    with kofn.ThreadPool(8) as pool:
        answer = kofn.map(code, X, workers=pool)
    assert answer.value.shape == (3, 4) and not answer.exact and answer.error > 0


LIES = {
    "another shape": lambda said: said["tensors"]["mean"].__setitem__(1, [8, 5]),
    "a tensor too many": lambda said: said["tensors"].update(more=["float64", [1]]),
    "another size": lambda said: said.update(size=5),
    "another output": lambda said: said.update(shape=[2, 2, 2]),
    "another feature": lambda said: said["terms"][0].__setitem__(1, "nothing"),
    "a term fewer": lambda said: said["terms"].pop(0),
    "terms in another order": lambda said: said["terms"].reverse(),
    "another power": lambda said: said["terms"][0].__setitem__(0, 3),
    "another degree": lambda said: said["encoder"].update(degree=1),
    "another kind of encoder": lambda said: said["encoder"].update(kind="nothing"),
    "no encoder": lambda said: said.pop("encoder"),
    "no name": lambda said: said.update(name=None),
    "a size beyond memory": lambda said: said.update(size=10**9),
    "a size of text": lambda said: said.update(size="4"),
    "another format": lambda said: said.update(format="kofn learned code 99"),
}


@pytest.mark.parametrize("lie", sorted(LIES))
@pytest.mark.parametrize("kind", ["structured", "aicc"])
def test_a_json_that_lies_is_refused_in_a_sentence(tmp_path, lie, kind):
    name = tmp_path / "code.safetensors"
    save_code(made(kind), name)
    said = json.loads(name.with_suffix(".json").read_text())
    LIES[lie](said)
    name.with_suffix(".json").write_text(json.dumps(said))
    refused(lambda: load_code(name), "code")


def test_a_size_that_no_tensor_contradicts_is_refused(tmp_path):
    """A determinant from traces: its numbers are those of matrices of any size."""
    name = tmp_path / "code.safetensors"
    code = structured_code(*drawn("P4", sets=20, size=4), recover=5, rows=8)
    save_code(code, name)
    assert load_code(name).size == 4 and {term.feature for term in code.terms} <= {"trace", "total"}
    said = json.loads(name.with_suffix(".json").read_text())
    name.with_suffix(".json").write_text(json.dumps({**said, "size": 5}))
    refused(lambda: load_code(name), "code.json that was saved with it")


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
@pytest.mark.parametrize("left", [0, 5, -3])
def test_a_file_cut_short_is_refused_in_a_sentence(tmp_path, ending, left):
    name = tmp_path / "code.safetensors"
    save_code(made("structured"), name)
    part = name.with_suffix(ending)
    part.write_bytes(part.read_bytes()[:left])
    refused(lambda: load_code(name), "'path'", f"code{ending}")
    part.unlink()
    refused(lambda: load_code(name), f"code{ending}")


def test_another_ending_is_refused(tmp_path):
    refused(lambda: save_code(made("structured"), tmp_path / "code.pt"), ".safetensors")
