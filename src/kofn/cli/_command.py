"""What a subcommand is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand of ``kofn``.

    Parameters
    ----------
    summary : str
        One line for the list of subcommands.
    examples : str
        Shown below the options.
    add : callable
        Adds its arguments to a parser.
    execute : callable
        Does it and returns the exit code; raises `kofn.errors.KofnError` for what cannot be done.
    """

    summary: str
    examples: str
    add: Callable[[ArgumentParser], None]
    execute: Callable[[Namespace], int]
