"""Closed forms: what the papers prove, exact and fast, for any sizes. Simulations are tested against them."""
