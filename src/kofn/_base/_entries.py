"""What other packages add to kofn by entry points: commands, engines, encoders of learned codes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import MissingPackage


def entries(group: str, package: str, own: Mapping[str, str]) -> dict[str, EntryPoint]:
    """Collect entry points by name: those of a group, and a package's own, which take precedence.

    Parameters
    ----------
    group : str
    package : str
        Whose own they are.
    own : mapping
        From names to ``module:name``, relative to the package.

    Examples
    --------
    >>> entries("nobody.adds.to.this", "json", {"scan": "scanner:make_scanner"})["scan"].load().__name__
    'Scanner'
    """
    mine = [EntryPoint(name, f"{package}.{place}", group) for name, place in own.items()]
    return {point.name: point for point in [*entry_points(group=group), *mine]}


def load_entry(point: EntryPoint, what: str) -> Any:
    """Load what an entry point names, or say which package ``what`` lacks.

    Examples
    --------
    >>> load_entry(EntryPoint("draw", "kofn_pictures.command:COMMAND", "kofn.commands"), "kofn draw")
    Traceback (most recent call last):
    kofn.errors.MissingPackage: kofn draw needs kofn_pictures; install it with pip install kofn_pictures.
    """
    try:
        return point.load()
    except ModuleNotFoundError as error:
        package = package_of(point)
        if (error.name or "").split(".")[0] != package:
            raise
        distribution = getattr(point, "dist", None)
        install = package if distribution is None else distribution.name
        raise MissingPackage(f"{what} needs {package}; install it with pip install {install}.", name=package) from error


def package_of(point: EntryPoint) -> str:
    """Name the package that an entry point is in."""
    return point.value.partition(":")[0].partition(".")[0]
