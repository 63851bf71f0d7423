"""What other packages add to kofn by entry points: commands, engines, encoders of learned codes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from ..errors import KofnError, MissingPackage
from ._envelope import error_line


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
    """Load what an entry point names, or say which package ``what`` lacks or is broken in.

    Examples
    --------
    >>> load_entry(EntryPoint("draw", "kofn_pictures.command:COMMAND", "kofn.commands"), "kofn draw")
    Traceback (most recent call last):
    kofn.errors.MissingPackage: kofn draw needs kofn_pictures; install it with pip install kofn_pictures.
    """
    try:
        return point.load()
    except KofnError:
        raise
    except Exception as error:
        package, distribution = package_of(point), getattr(point, "dist", None)
        install = package if distribution is None else distribution.name
        if isinstance(error, ModuleNotFoundError) and not _is_there(package):
            text = f"{what} needs {package}; install it with pip install {install}."
            raise MissingPackage(text, name=package) from error
        text = f"{what} cannot be loaded from {point.value}: {error_line(error)}; repair {install}, or uninstall it."
        raise KofnError(text) from error


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # put into sys.modules by hand
        return True


def package_of(point: EntryPoint) -> str:
    """Name the package that an entry point is in."""
    return point.value.partition(":")[0].partition(".")[0]
