"""The command ``kofn``: thin, every subcommand one file around what the library does.

A package of one's own adds a `Command` by an entry point of the group ``kofn.commands``; what the commands here share
is there for it too.
"""

from __future__ import annotations

from ._app import main
from ._codes import columns
from ._command import Command
from ._workers import add_workers, workers_of

__all__ = ["Command", "add_workers", "columns", "main", "workers_of"]
