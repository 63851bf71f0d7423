"""One run of a plan, in the thread that calls `Execution.finish`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import checks
from ..codes.decoding._decode import decode
from ..engines._reputation import reputation_of
from ..schemes._scheme import Scheme
from ..schemes._template import Template
from ._answer import Answer
from ._loop import RunLoop
from .report._bar import Watched, watching


@dataclass(frozen=True, eq=False)
class Execution:
    """One run of a plan, ready to go.

    Parameters
    ----------
    scheme : Scheme
    loop : RunLoop or None
        What drives it; None where the scheme has no rows, and the answer is there already.
    results : mapping of row to payload
        What has arrived so far.
    template : Template or None
        What the scheme was made of.
    workers : int
    progress : callable or "bar", optional
        Called with a `Progress` after every arrival.
    end : callable
        ``end(succeeded)`` is called when it is over.
    """

    scheme: Scheme
    loop: RunLoop | None
    results: Mapping[int, Any]
    template: Template | None
    workers: int
    progress: Watched = None
    end: Callable[[bool], None] = lambda succeeded: None

    def finish(self, heard: Callable[[RunLoop], None] | None = None) -> Answer:
        """Run to the end; ``heard`` is called after every arrival, too."""
        answer = None
        try:
            answer = self._answered(heard)
            return answer
        finally:
            self.end(answer is not None)
            if self.loop is not None:
                reputation_of(self.loop.pool).note({one.worker for one in self.loop.checks.wrong})

    def cancel(self) -> None:
        """Let `finish` raise `Cancelled` as soon as it looks."""
        if self.loop is not None:
            self.loop.cancel()

    def _answered(self, heard: Callable[[RunLoop], None] | None) -> Answer:
        """The answer; what an engine refuses is called as the template's user calls it."""
        if self.loop is None:
            value = self.scheme.answer(decode(self.scheme.code, []), [], [])
            return Answer.at_once(value, self.scheme.parts, self.scheme.code.name, self.workers)
        for worker in reputation_of(self.loop.pool).left_out:
            self.loop.state.view.bar(worker)
        watchers = [] if heard is None else [heard]
        meaning = checks.meaning({} if self.template is None else self.template.arguments)
        with meaning, watching(self.progress) as progress:
            if progress is not None:
                watchers.append(lambda run: progress(run.collector.progress))
            return self.loop.run(*watchers)
