"""Serve a classifier from coded workers, and measure how long requests wait when workers are slow now and then.

    python examples/serving.py [--requests 300]

Three clients ask for one image after the other. The server gathers what they ask into calls of K = 3 images, and runs
each on worker processes, of which any may take 300 ms instead of 5 (one task in fifty). Uncoded waits for all three,
repetition for the first copy of each on six workers, and the code that `kofn.fit` found answers from any three of
four: late, never; wrong, now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import kofn

K = 3
DELAYS = [0.005] * 49 + [0.3]
"""Seconds that a task sleeps first, one of them at random."""


class Server:
    """Gathers requests into calls of K inputs; a call that is not full after a moment repeats its last input."""

    def __init__(self, coded: kofn.CodedMap, moment_seconds: float = 0.005) -> None:
        self._coded = coded
        self._moment = moment_seconds
        self._queue: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue()

    async def ask(self, image: Any) -> Any:
        """Return the logits of one image."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._queue.put((image, answer))
        return await answer

    async def serve(self) -> None:
        """Answer calls, one after the other, until cancelled."""
        while True:
            waiting = [await self._queue.get()]
            try:
                async with asyncio.timeout(self._moment):
                    while len(waiting) < K:
                        waiting.append(await self._queue.get())
            except TimeoutError:
                pass
            images = [image for image, _ in waiting]
            images += images[-1:] * (K - len(images))
            call = await asyncio.to_thread(self._coded, np.array(images))
            for (_, answer), value in zip(waiting, call.value, strict=False):
                answer.set_result(value)


async def measured(coded: kofn.CodedMap, images: Sequence[Any], requests: int) -> tuple[list[float], list[Any]]:
    """Latency of each request in seconds, and its answer, for K clients that ask one after the other."""
    server = Server(coded)
    serving = asyncio.create_task(server.serve())
    seconds: list[float] = [0.0] * requests
    answers: list[Any] = [None] * requests

    async def client(first: int) -> None:
        for request in range(first, requests, K):
            started = time.perf_counter()
            answers[request] = await server.ask(images[request % len(images)])
            seconds[request] = time.perf_counter() - started

    await asyncio.gather(*(client(number) for number in range(K)))
    serving.cancel()
    return seconds, answers


def classifier() -> tuple[Callable[[Any], Any], Any, Any]:
    """The logits of a small network, and images that it was and was not trained with."""
    digits = load_digits()
    images = digits.images / 16
    network = MLPClassifier((64,), alpha=1.0, max_iter=300, tol=1e-3, random_state=0)
    network.fit(images[:900].reshape(900, -1), digits.target[:900])
    (first, last), (shift, bias) = network.coefs_, network.intercepts_
    return lambda image: np.maximum(image.reshape(-1) @ first + shift, 0) @ last + bias, images[:900], images[900:]


def main(requests: int, samples: int) -> dict[str, tuple[float, float, float]]:
    """Print and return p50 and p99 in seconds, and the share of answers that are the network's, for each contender."""
    f, known, new = classifier()
    truth = np.array([f(image).argmax() for image in new])
    draw = lambda rng: known[rng.integers(len(known))]  # noqa: E731
    fitted = kofn.fit(f, draw, inputs=K, recover=K, workers=K + 1, samples=samples, rng=0)
    print(fitted.report)
    found = {}
    contenders = (("uncoded", "uncoded", K), ("repetition", "repetition", 2 * K), ("fitted", fitted, K + 1))
    for name, code, workers in contenders:
        delays = kofn.Trace(np.tile(DELAYS, (workers, 1)).T, shuffle=True)
        pool = kofn.Straggling(kofn.LocalPool(workers), delays, 1)
        with pool, kofn.CodedMap(f, workers=pool, code=code) as coded:
            coded(new[:K])  # the network goes to the workers
            seconds, answers = asyncio.run(measured(coded, new, requests))
        agreement = np.mean([a.argmax() == truth[i % len(truth)] for i, a in enumerate(answers)])
        p50, p99 = np.quantile(seconds, (0.5, 0.99))
        found[name] = (float(p50), float(p99), float(agreement))
        print(
            f"{name:<12}{workers} workers: p50 {p50 * 1e3:6.1f} ms, p99 {p99 * 1e3:6.1f} ms, agreement {agreement:.3f}"
        )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    main(parser.parse_args().requests, 100)
