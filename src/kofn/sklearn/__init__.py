"""Ensembles of scikit-learn, predicted on many workers without waiting for the slowest.

Importing this module needs scikit-learn: ``pip install 'kofn[sklearn]'``.
"""

from __future__ import annotations

from ..errors import require

with require("kofn.sklearn", "sklearn"):
    from ._ensemble import CodedEnsemble, twofold

__all__ = ["CodedEnsemble", "twofold"]
