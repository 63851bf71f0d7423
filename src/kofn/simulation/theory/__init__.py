"""Closed forms: what the papers prove, exact and fast, for any sizes. Simulations are tested against them."""

from __future__ import annotations

from ..._base._extras import loader

__getattr__ = loader(__name__, {"losses": "._losses", "uep": "._uep"})
