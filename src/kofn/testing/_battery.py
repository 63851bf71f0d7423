"""How a battery of checks is run over a pool, and what its checks are written with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..checks import choice
from ..engines._protocol import Pool, WorkerState

MakePool = Callable[[], AbstractContextManager[Pool]]


@dataclass(frozen=True)
class BatterySettings:
    """What the checks are run with."""

    make_pool: MakePool
    payload_bytes: int
    straggler_seconds: float
    patience_seconds: float


Check: TypeAlias = Callable[[Any, Any], None]


def named(*groups: Sequence[Check]) -> dict[str, Check]:
    """Every check by its name."""
    return {check.__name__[1:].replace("_", " "): check for group in groups for check in group}


def run_battery(
    call: str,
    checks: Mapping[str, Check],
    shared: Sequence[Check],
    settings: BatterySettings,
    lacks: Mapping[str, str] | None,
) -> dict[str, str]:
    """Run those checks that are not lacking, the ``shared`` ones on one pool and each other on a pool of its own.

    Returns
    -------
    dict
        For each check ``"held"``, or ``"lacks: "`` and the reason.
    """
    lacks = dict(lacks or {})
    for name in lacks:
        choice(call, "lacks", name, checks, "name the checks that cannot hold")
    wanted = [name for name in checks if name not in lacks]
    with settings.make_pool() as pool:
        for name in wanted:
            if checks[name] in shared:
                _run_check(name, checks[name], pool, settings)
    for name in wanted:
        if checks[name] not in shared:
            with settings.make_pool() as pool:
                _run_check(name, checks[name], pool, settings)
    return {name: f"lacks: {lacks[name]}" if name in lacks else "held" for name in checks}


def _run_check(name: str, check: Check, pool: Pool, settings: BatterySettings) -> None:
    await_idle(pool, settings)
    try:
        check(pool, settings)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{name}: the check was ended by {error!r}.") from error


def await_idle(pool: Pool, settings: BatterySettings) -> None:
    """Wait until every worker is idle."""

    def is_wrong() -> str:
        states = [pool.state(worker) for worker in range(pool.n)]
        return f"workers must become idle by themselves, got {states}" if set(states) != {WorkerState.IDLE} else ""

    await_right(is_wrong, settings)


def await_right(is_wrong: Callable[[], str], settings: BatterySettings) -> None:
    """Wait until nothing is wrong any more."""
    until = time.monotonic() + settings.patience_seconds
    while sentence := is_wrong():
        require(time.monotonic() < until, sentence)
        time.sleep(0.01)


def raises(kind: type[BaseException], call: Callable[[], object], sentence: str) -> None:
    """Assert that a call raises an error of this kind."""
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{sentence}: expected {kind.__name__}, got {error!r}.") from error
    raise AssertionError(f"{sentence}: expected {kind.__name__}, got nothing.")


def require(condition: object, sentence: str) -> None:
    """Raise `AssertionError` with this sentence where the condition does not hold.

    Examples
    --------
    >>> require(1 + 1 == 2, "numbers must add up")
    """
    if not condition:
        raise AssertionError(sentence + ".")


def same(value: Any) -> Any:
    """Return what was given."""
    return value


def fail(error: BaseException) -> None:
    """Raise ``error``."""
    raise error


def spoil(resident: Any, other: Any) -> float:
    """Write into both arrays; return the sum of what they hold then."""
    resident += 1
    other -= 1
    return float(resident.sum() + other.sum())
