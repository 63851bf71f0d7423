"""Federated rounds: the update is the mean of what shards change, and nobody's data is lost to a slow client."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kofn  # noqa: E402
from kofn.errors import ArgumentError  # noqa: E402
from kofn.schemes import SUMS  # noqa: E402
from kofn_studies.datasets import load  # noqa: E402
from kofn_studies.training.federated import Federation, federate, shards_by_label  # noqa: E402
from kofn_studies.training.networks import dense_network  # noqa: E402

SHARDS = 10


@pytest.fixture(scope="module")
def data():
    return load("digits")


def shared(rows):
    return SUMS["cyclic"](SHARDS, blocks=SHARDS, rows=rows, workers=SHARDS)


@pytest.mark.parametrize(
    "code", [SUMS["uncoded"](SHARDS, workers=SHARDS), SUMS["gradient"](SHARDS, stragglers=2, rng=0)]
)
def test_a_full_round_is_the_mean_of_separate_gradient_steps(data, code):
    """With everything there, one local step of the whole of each shard is a step on all images."""
    shards = shards_by_label(data, SHARDS)[:, :1]  # one image a shard, so that a mini-batch is the shard
    network, plain = dense_network(data.shape, 10, 0), dense_network(data.shape, 10, 0)
    federation = Federation(rounds=1, deadline=math.inf, local_steps=1, batch=1, learning_rate=0.3)
    rounds = federate(network, data, shards, code, kofn.Constant(1.0), federation, seed=0)
    chosen = shards.ravel()
    scores = plain(torch.from_numpy(data.pixels(data.train_images[chosen])))
    torch.nn.functional.cross_entropy(scores, torch.from_numpy(data.train_labels[chosen].astype(int))).backward()
    for mine, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine, theirs - 0.3 * theirs.grad, atol=1e-5)
    assert rounds.arrived == (SHARDS,) and rounds.seconds == (code.load[0],)


@pytest.mark.slow
def test_a_client_that_never_answers_is_learnt_from_through_its_neighbours(data):
    """Clients 2 and 3 hold most images of some classes, and are dead."""
    latency = kofn.Dying(kofn.Constant(1.0), {2: 0.0, 3: 0.0})
    shards, federation = shards_by_label(data, SHARDS), Federation(rounds=40, deadline=3.0)
    right = {}
    for rows in (1, 3):
        network = dense_network(data.shape, 10, 0)
        rounds = federate(network, data, shards, shared(rows), latency, federation, seed=0)
        assert rounds.arrived == (8 * rows,) * 40 and set(rounds.seconds) == {3.0}
        answers = network(torch.from_numpy(data.pixels(data.test_images))).argmax(1).numpy()
        only_there = np.isin(data.test_labels, (2, 3))
        right[rows] = float(np.mean(answers[only_there] == data.test_labels[only_there]))
    assert right[3] > right[1] + 0.2


def test_what_has_not_arrived_changes_nothing(data):
    network, before = dense_network(data.shape, 10, 0), dense_network(data.shape, 10, 0)
    federation = Federation(rounds=2, deadline=0.5)
    rounds = federate(network, data, shards_by_label(data, SHARDS), shared(1), kofn.Constant(1.0), federation, 0)
    assert rounds.arrived == (0, 0)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))


def test_bad_arguments_get_a_sentence(data):
    with pytest.raises(ArgumentError, match="'code' must be a code for the sum over 10 shards"):
        federate(
            dense_network(data.shape, 10, 0), data, shards_by_label(data, SHARDS), SUMS["uncoded"](9),
            kofn.Constant(1.0), Federation(), 0,
        )  # fmt: skip
    with pytest.raises(ArgumentError, match="'deadline' must be a number of seconds > 0"):
        Federation(deadline=0.0)
    with pytest.raises(ArgumentError, match="'rounds' must be an int of at least 1"):
        Federation(rounds=0)
