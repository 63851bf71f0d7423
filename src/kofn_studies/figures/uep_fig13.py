"""Tegin et al. 2022, Fig. 13: accuracy by mini-batch at each deadline, row × column."""

from __future__ import annotations

from .figure import Recipe, Request, Study
from .training_setting import by_deadline, by_step

TITLE = "Accuracy of coded training by mini-batch, row × column"


def study(request: Request) -> Study:
    """Test accuracy, and as ``-train`` the accuracy on mini-batches that the paper plots; ``@`` tells the deadline."""
    return by_step("uep-fig13", TITLE, "rxc", request)


RECIPE = Recipe("uep-fig13", TITLE, study, by_deadline, trials=5, quick_trials=2, needs="torch", digits=True)
