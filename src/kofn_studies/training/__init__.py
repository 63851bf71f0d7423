"""Studies of coded training: Tegin et al. 2022, Sec. VII, and past it.

Importing this package needs PyTorch: ``pip install 'kofn[torch]'``. Read in this order: `networks` (Fig. 12 and
Table V), `sgd` (Table IV), `methods` (Table VII and what beats it), `run`.
"""

from __future__ import annotations

from kofn.errors import require

with require("kofn_studies.training", "torch"):
    import torch  # noqa: F401
