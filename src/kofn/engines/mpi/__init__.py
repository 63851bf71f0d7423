"""Ranks of an MPI program."""
