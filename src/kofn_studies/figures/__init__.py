"""Every figure and table that kofn reproduces, and some of our own, one file each; `FIGURES` is all of them."""

from __future__ import annotations

from . import (
    aicc_fig4,
    aicc_fig5,
    aicc_fig6,
    aicc_table1,
    own_liars,
    own_policies,
    own_traffic,
    own_workers,
    sr_decode,
    sr_fig2a,
    sr_fig2b,
    sr_fig2c,
    sr_pareto,
    uep_fig1,
    uep_fig5,
    uep_fig8,
    uep_fig9,
    uep_fig10,
    uep_fig11,
    uep_fig13,
    uep_fig14,
    uep_fig15,
    uep_table2,
)
from .figure import Figure, Published, Recipe, Request, Series, Study

SUMS = (sr_fig2a.RECIPE, sr_fig2b.RECIPE, sr_fig2c.RECIPE, sr_pareto.RECIPE, sr_decode.RECIPE)

LOSSES = (uep_fig8.RECIPE, uep_fig9.RECIPE, uep_fig10.RECIPE, uep_fig11.RECIPE)

TRAINING = (
    uep_fig1.RECIPE,
    uep_fig5.RECIPE,
    uep_table2.RECIPE,
    uep_fig13.RECIPE,
    uep_fig14.RECIPE,
    uep_fig15.RECIPE,
)

LEARNED = (aicc_table1.RECIPE, aicc_fig4.RECIPE, aicc_fig5.RECIPE, aicc_fig6.RECIPE)

OWN = (own_policies.RECIPE, own_traffic.RECIPE, own_liars.RECIPE, own_workers.RECIPE)
"""What no paper has."""

FIGURES: dict[str, Recipe] = {recipe.id: recipe for recipe in (*LOSSES, *TRAINING, *SUMS, *LEARNED, *OWN)}

__all__ = ["FIGURES", "Figure", "Published", "Recipe", "Request", "Series", "Study"]
