"""What is said where there will be no exact answer, and why."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NotDecodable
from ..schemes._scheme import Scheme
from ..schemes._task import name_some
from ._answer import Answer
from ._collector import Collector
from ._trust import ATTEMPTS


def not_decodable(
    call: str, collector: Collector, told: str, estimate: Answer | None, reason: str, remedy: str
) -> NotDecodable:
    """Build (not raise) the exception; ``told`` is what else there is to say of the results that arrived."""
    name, have = collector.code.name, f"{collector.count} of {collector.code.rows} results arrived"
    remedy = "its best estimate is in the exception's 'estimate'" if estimate else remedy
    error = NotDecodable(f"{name} is not exact: {reason} ({have}{told}); {remedy}.", estimate)
    error.call = call
    return error


def given_up(scheme: Scheme, lost: Sequence[int], some_wrong: bool) -> str:
    """Which rows were given up after how many workers, some of which may have been wrong; nothing where none was."""
    if not lost:
        return ""
    rows, held = name_some("row", lost), scheme.describe(lost)
    failed = "workers were lost or wrong" if some_wrong else "lost workers"
    return f", {rows}{held and f' ({held})'} {'were' if lost[1:] else 'was'} given up after {ATTEMPTS} {failed}"
