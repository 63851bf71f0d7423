"""A scheduler of one's own: whoever is idle repeats what others have been computing longest.

    python examples/eager_copies.py

Two of three workers need a millisecond for their rows and the third ten seconds. Its row is repeated by the first that
is idle, so that the job ends at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

import kofn
from kofn.jobs.scheduling import Assignment, Copy, Scheduler, View, Wait


@dataclass(frozen=True)
class EagerCopies(Scheduler):
    """What another scheduler gives out; then copies of rows that nobody else repeats, the oldest first.

    Parameters
    ----------
    base : Scheduler
    """

    base: Scheduler = field(default_factory=kofn.Static)

    def assign(self, worker: int, view: View) -> Assignment:
        """What the base gives; where that is nothing, a copy."""
        assignment = self.base.assign(worker, view)
        if not isinstance(assignment, Wait):
            return assignment
        for message in sorted(view.in_flight.values(), key=lambda message: message.submitted):
            for row in message.rows:
                if view.copies(row) == 1 and view.is_news(row):
                    return Copy([row])
        return Wait()

    @property
    def skips_equal(self) -> bool:
        """As the base does."""
        return self.base.skips_equal


def main() -> kofn.Answer:
    """Print and return the answer."""
    A, B = np.random.default_rng(0).standard_normal((30, 20)), np.eye(20)
    delays = kofn.Slowdown(kofn.Constant(0.001), {2: 10_000.0})
    with kofn.Straggling(kofn.ThreadPool(3), delays) as pool:
        answer = kofn.run(kofn.schemes.uncoded(A, B, workers=3), workers=pool, scheduler=EagerCopies())
    print(answer.report)
    return answer


if __name__ == "__main__":
    main()
