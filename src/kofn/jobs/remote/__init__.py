"""Runs whose data lies at workers: who computes what, what moves where, and what is left where."""
