"""Coded inference of a small image classifier: whose answers are those of the network when workers are missing.

    python benchmarks/coded_inference.py [--data DIR] [--batches 150]

K images a call, N workers, any N − K of them lost. Agreement is the share of images for which the largest of the ten
estimated logits is the network's own, over all images and over those whose own worker was lost. On scikit-learn's
digits; with --data on the first 10 000 images of MNIST, from a folder that holds mnist/. One process, no delays: which
results are missing is all that matters here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier, MLPRegressor

from kofn.codes import decode
from kofn.schemes import FUNCTIONS
from kofn.schemes.functions import parity_weights
from kofn.tuning.functions import (
    Candidate,
    Decoder,
    Draws,
    FamilyResults,
    Joint,
    evaluate_rows,
    identity,
    learn_parities,
)
from kofn.tuning.learned import structured_code
from kofn_studies.datasets import load

Floats = NDArray[Any]
SETTINGS = ((3, 4), (6, 8))
"""(K, N): one of four lost, two of eight."""


class Layers:
    """A trained network of scikit-learn as matrix products, so that workers need NumPy alone."""

    def __init__(self, network: Any) -> None:
        self.weights = list(zip(network.coefs_, network.intercepts_, strict=True))

    def __call__(self, images: Floats) -> Floats:
        values = images.reshape(*images.shape[: images.ndim - 2], -1)
        for depth, (weight, bias) in enumerate(self.weights):
            values = values @ weight + bias
            if depth < len(self.weights) - 1:
                values = np.maximum(values, 0.0)
        return values


def trained(images: Floats, labels: Floats) -> Layers:
    """The network that is served; its logits are f."""
    flat = images.reshape(len(images), -1)
    return Layers(MLPClassifier((128,), alpha=1.0, max_iter=300, random_state=0).fit(flat, labels))


def parity_models(f: Layers, images: Floats, K: int, count: int, rng: np.random.Generator) -> list[Layers]:
    """ParM: a network for each parity, trained on mixtures to give the mixture of the logits."""
    picked = images[rng.integers(len(images), size=(20000, K))]
    logits = f(picked)
    models = []
    for weights in parity_weights(K, count):
        mixtures, wanted = np.tensordot(picked, weights, (1, 0)), np.tensordot(logits, weights, (1, 0))
        network = MLPRegressor(hidden_layer_sizes=(256,), max_iter=100, random_state=0, early_stopping=True)
        models.append(Layers(network.fit(mixtures.reshape(len(mixtures), -1), wanted)))
    return models


def draws_of(f: Layers, images: Floats, K: int, count: int, rng: np.random.Generator) -> Draws:
    """Calls of K images each."""
    X = images[rng.integers(len(images), size=(count, K))]
    return Draws(X, f(X), 0.0, 0.0)


def contenders(f: Layers, images: Floats, learning: Draws, K: int, N: int) -> Iterator[tuple[str, Candidate, bool]]:
    """Name, code, and whether a linear decoder is learned for it."""
    parities = parity_models(f, images, K, N - K, np.random.default_rng(1))
    closed = learn_parities(learning, N - K, np.random.default_rng(1))
    built: dict[str, Callable[..., Any]] = {
        "parity, trained": partial(FUNCTIONS["parity"], f, parities=parities),
        "parity, closed form": partial(FUNCTIONS["parity"], f, parities=closed),
        "parity, the network itself": partial(FUNCTIONS["parity"], f),
    }
    built |= {name: partial(FUNCTIONS[name], f) for name in ("repetition", "berrut", "letcc", "kriging")}
    for name, build in built.items():
        for learn in (False, True):
            yield name + " + best linear" * learn, Candidate(name, build), learn
    fit = structured_code(learning.inputs, learning.values, recover=K, rows=N)
    yield "lagrange-fit (aicc-structured)", Candidate("lagrange-fit", fit.evaluations), False


def agreement(run: FamilyResults, decoder: Decoder, calls: Draws, lost: int) -> tuple[float, float]:
    """Share of right answers over all losses of so many workers: of all images, and of those whose worker was lost."""
    every: list[Floats] = []
    missing: list[Floats] = []
    right = calls.values.argmax(axis=-1)
    rows = len(run.results[0])
    sets = list(combinations(range(rows), rows - lost))
    for draw in range(len(run.results)):
        evaluations = decoder(run.evaluations[draw])
        scheme = evaluations.estimating()
        for received in (sets[i] for i in np.random.default_rng(draw).permutation(len(sets))[:4]):
            payloads = {row: scheme.check(row, run.results[draw, row]) for row in received}
            prior = scheme.learner().prior(payloads)
            decoding = decode(scheme.code, list(received), prior, evaluations.estimator, scheme.epsilon)
            hit = scheme.assemble(decoding.matrix, list(payloads.values())).argmax(axis=-1) == right[draw]
            every.append(hit)
            missing.append(hit[~decoding.recovered])
    return float(np.mean(every)), float(np.concatenate(missing).mean())


def main() -> None:
    """Print a table for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder that holds mnist/")
    parser.add_argument("--batches", type=int, default=150)
    options = parser.parse_args()
    data = load("digits") if options.data is None else load("mnist", options.data).first(10000, 2000)
    images, tests = (data.pixels(part)[:, 0].astype(float) for part in (data.train_images, data.test_images))
    f = trained(images, data.train_labels)
    accuracy = np.mean(f(tests).argmax(axis=-1) == data.test_labels)
    print(f"{data.name}: the network is right on {accuracy:.3f} of the test images")
    for K, N in SETTINGS:
        rng = np.random.default_rng(K)
        learning, calls = (draws_of(f, part, K, options.batches, rng) for part in (images, tests))
        common = np.bincount(f(images).argmax(axis=-1)).argmax()
        constant = np.mean(calls.values.argmax(axis=-1) == common)
        print(f"\n{N - K} of {N} lost, K = {K}: agreement over all images, and where it was not computed")
        for name, candidate, learn in contenders(f, images, learning, K, N):
            run = evaluate_rows(candidate, calls, N)
            known = evaluate_rows(candidate, learning, N)
            joint = Joint.from_samples(known.evaluations[0].code, known.results, learning.values)
            decoder = joint if learn else identity
            print(f"{name:<42}{'{:8.3f}{:8.3f}'.format(*agreement(run, decoder, calls, N - K))}", flush=True)
        print(f"{'always the commonest class':<42}{'':8}{constant:8.3f}")


if __name__ == "__main__":
    main()
