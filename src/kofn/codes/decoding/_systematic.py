"""Decoding where rows are unknowns as they are, and others combine them: only what is missing is solved for."""

from __future__ import annotations

import math

import numpy as np

from ..._base._numbers import Array, Floats, Indices
from .._certify import Certificate, certify


def complete(generator: Floats) -> Certificate:
    """`certify` for a systematic code: what arrived as it is is picked, and taken out of the combinations.

    With m unknowns missing and p combinations a p × m system is solved, whatever the number of unknowns is. On the
    unknowns that are there V G meets its target but for the rounding of the weights that it is made of, which is within
    the componentwise limit; so the backward errors are those of the small system.

    Parameters
    ----------
    generator : (…, received, unknowns) array
        Rows that hold one 1 and otherwise zeros are unknowns as they are.

    Examples
    --------
    >>> complete(np.array([[0.0, 1.0, 0.0], [2.0, 3.0, 4.0], [0.0, 0.0, 1.0]])).matrix
    array([[-1.5,  0.5, -2. ],
           [ 1. ,  0. ,  0. ],
           [ 0. ,  0. ,  1. ]])
    """
    received, unknowns = generator.shape[-2:]
    shape = generator.shape[:-2]
    trials = generator.reshape(math.prod(shape), received, unknowns)
    plain = (np.count_nonzero(trials, axis=2) == 1) & (trials.max(axis=2, initial=0.0) == 1.0)
    holds = (trials == 1.0) & plain[:, :, None]
    known = holds.any(axis=1)
    place = np.argmax(holds, axis=1) if received else np.zeros(known.shape, dtype=np.intp)
    matrix = np.zeros((len(trials), unknowns, received))
    error, amplification = np.zeros(known.shape), np.ones(known.shape)
    trial, unknown = np.nonzero(known)
    matrix[trial, unknown, place[trial, unknown]] = 1.0
    counts = np.stack([unknowns - known.sum(axis=1), received - plain.sum(axis=1)], axis=1)
    for missing, mixed in np.unique(counts[counts[:, 0] > 0], axis=0).tolist():
        which = np.flatnonzero((counts == (missing, mixed)).all(axis=1))
        lost = _first(~known[which], missing)
        weights, solved = _solve(trials[which], known[which], plain[which], place[which], lost, mixed)
        at = which[:, None], lost
        matrix[at], error[at] = weights, solved.backward_error
        size = np.linalg.norm(trials[which], axis=2)
        amplification[at] = np.linalg.norm(weights * size[:, None, :], axis=2)
    return Certificate(
        matrix.reshape(*shape, unknowns, received),
        error.reshape(*shape, unknowns),
        amplification.reshape(*shape, unknowns),
    )


def _solve(
    trials: Floats, known: Array, plain: Array, place: Indices, lost: Indices, count: int
) -> tuple[Floats, Certificate]:
    """Rows of V for the unknowns that are lost, (trials, lost, received), where ``count`` rows are combinations."""
    rows = _first(~plain, count)
    mixed = np.take_along_axis(trials, rows[:, :, None], axis=1)
    solved = certify(np.take_along_axis(mixed, lost[:, None, :], axis=2), np.eye(lost.shape[1]))
    there = _first(known, known.shape[1] - lost.shape[1])
    taken_out = solved.matrix @ np.take_along_axis(mixed, there[:, None, :], axis=2)
    weights = np.zeros((len(trials), lost.shape[1], trials.shape[1]))
    np.put_along_axis(weights, np.take_along_axis(place, there, axis=1)[:, None, :], -taken_out, axis=2)
    np.put_along_axis(weights, rows[:, None, :], solved.matrix, axis=2)
    return weights, solved


def _first(mask: Array, count: int) -> Indices:
    """Where each row of a mask is true, (rows, count): as often in all of them."""
    return np.argsort(~mask, axis=1, kind="stable")[:, :count]
