"""The command ``kofn``: thin, every subcommand one file around what the library does."""

from __future__ import annotations

from ._app import main

__all__ = ["main"]
