"""Two hosts on one machine: network namespaces joined by two links, one of which is slowed and one cut.

Run by `test_two_hosts`, as root of the first host: ``python two_hosts.py ADDRESS SLOW-LINK CUT-LINK QDISC…``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

FIRST, SECOND = f"kofn-one-{os.getpid()}", f"kofn-two-{os.getpid()}"
SLOWDOWNS = (["netem", "delay", "1500ms"], ["tbf", "rate", "400kbit", "burst", "16kb", "latency", "9s"])
"""A second and a half each way, or, in a kernel without netem, a link on which half a megabyte takes ten seconds."""


class Unable(Exception):
    """This machine cannot pretend to be two."""


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        raise Unable("iproute2 is not installed") from None
    if done.returncode:
        raise Unable(f"`ip {' '.join(arguments)}` is not permitted: {done.stderr.strip()}")


def inside(host: str) -> list[str]:
    """What a command line on a host begins with."""
    return ["ip", "netns", "exec", host]


def build(cleanup: ExitStack) -> None:
    """Make both hosts and two links, at 10.77.1.0/24 and 10.77.2.0/24; with the hosts the links go, too."""
    for host in (FIRST, SECOND):
        ip("netns", "add", host)
        cleanup.callback(ip, "netns", "del", host)
        ip("-n", host, "link", "set", "lo", "up")
    for number in (1, 2):
        here, there = f"kofn{number}a", f"kofn{number}b"
        ip("link", "add", here, "netns", FIRST, "type", "veth", "peer", "name", there, "netns", SECOND)
        for host, device, last in ((FIRST, here, 1), (SECOND, there, 2)):
            ip("-n", host, "address", "add", f"10.77.{number}.{last}/24", "dev", device)
            ip("-n", host, "link", "set", device, "up")


def slowdown() -> list[str]:
    """The way to slow a link that this kernel knows."""
    for kind in SLOWDOWNS:
        command = [*inside(FIRST), "tc", "qdisc", "add", "dev", "kofn1a", "root", *kind]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        except FileNotFoundError:
            raise Unable("tc, of iproute2, is not installed") from None
        if done.returncode == 0:
            subprocess.run([*inside(FIRST), "tc", "qdisc", "del", "dev", "kofn1a", "root"], check=True, timeout=20)
            return kind
    raise Unable(f"this kernel can neither delay nor limit a link: {done.stderr.strip()}")


def late(function: Any, seconds: float, *arguments: Any) -> Any:
    """Call ``function`` after a while."""
    time.sleep(seconds)
    return function(*arguments)


def job(pool: Any, seconds: float, code: str, **options: Any) -> Any:
    """Start a product of which each task takes a while and is sent half a megabyte."""
    import kofn

    scheme = kofn.schemes.PRODUCTS[code](A, B, rng=1, **options)

    tasks = [
        kofn.Task(partial(late, task.function, seconds), task.arguments, task.resident)
        for task in scheme.encoding().encode(np.empty)
    ]
    return kofn.start(kofn.schemes.CustomScheme(scheme.code, tasks, scheme.prior(), scheme.grid), workers=pool)


RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((300, 300)), RNG.standard_normal((300, 200))


def measure(address: str, slow: str, cut: str, qdisc: Sequence[str]) -> dict[str, Any]:
    """Three jobs in a row: over a slow link, losing a link, and with that link gone."""
    from distributed import Client

    import kofn

    client = Client(address, timeout="30s")
    client.wait_for_workers(4, 60)
    pool = kofn.DaskPool(client)
    coded = {"blocks": (3, 1), "rows": 4}
    told: dict[str, Any] = {"plain": summary(job(pool, 0.2, "mds", **coded))}
    subprocess.run(["tc", "qdisc", "add", "dev", slow, "root", *qdisc], check=True)
    told["slow"] = summary(job(pool, 0.2, "mds", **coded))
    subprocess.run(["tc", "qdisc", "del", "dev", slow, "root"], check=True)
    until = time.monotonic() + 30
    while any(pool.state(worker) != "idle" for worker in range(4)) and time.monotonic() < until:
        time.sleep(0.05)
    running = job(pool, 1.0, "mds", **coded)
    time.sleep(0.5)
    subprocess.run(["ip", "link", "set", cut, "down"], check=True)
    told["cut"] = summary(running)
    told["after"] = summary(job(pool, 0.2, "uncoded", workers=4))
    told["states"] = [pool.state(worker) for worker in range(4)]
    return told


def summary(running: Any) -> dict[str, Any]:
    """What is asserted of a job."""
    answer = running.result(timeout=30)
    return {
        "exact": bool(answer.exact),
        "right": bool(np.allclose(answer.value, A @ B)),
        "seconds": answer.report.seconds,
        "workers": sorted({attempt.worker for attempt in answer.report.of("arrived")}),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])), flush=True)
    os._exit(0)  # a client would say goodbye to a host that is cut off
