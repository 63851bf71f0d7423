"""Where studies draw to."""

from __future__ import annotations

from pathlib import Path

from kofn.checks import refusal


def make_folder(call: str, folder: Path) -> None:
    """Make the folder that pictures go to, unless it is there, or refuse it with a reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"{folder} ({error.strerror or error})"
        raise refusal(call, "--out", "be a folder", got, "choose another name") from None
