"""Parts of the page of a run: pictures without a script, their axes, and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

LEFT, WIDTH = 56.0, 960.0
"""Where a picture begins beside its labels, and how wide it is, in the units of its view box."""


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]], of: int = 0) -> str:
    """A table that can be scrolled from the keyboard, and says where it is cut."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    cut = f"<p>The first {len(rows)} of {of}; all are in the JSON.</p>" if of > len(rows) else ""
    whole = f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">{whole}</div>{cut}'


def picture(height: float, label: str, *parts: str) -> str:
    """A picture that says in words what it shows."""
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{inside}</svg>"
    )


def axis(end: float, across: float, height: float) -> str:
    """Times under a picture, at round numbers."""
    step = 10.0 ** math.floor(math.log10(end))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if end / (step * part) <= 8.0)
    marks = [step * i for i in range(int(end / step) + 1)]
    anchors = ("end" if LEFT + mark * across > WIDTH - 20.0 else "middle" for mark in marks)
    texts = zip(marks, anchors, strict=True)
    return "".join(text(LEFT + mark * across, height - 6.0, f"{mark:.3g} s", anchor) for mark, anchor in texts)


def text(x: float, y: float, text: str, anchor: str) -> str:
    """A label."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
