"""Who computes which row, so that little moves, and that what moves makes the second copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Flags, Floats

SECOND = 0.3
"""What it counts to move a block that lies at one worker only, where each is to lie at two: it has to move anyway."""


@dataclass(frozen=True)
class Deal:
    """Who computes what.

    Parameters
    ----------
    rows : sequence of int
        All rows, in the order in which they were dealt.
    workers : sequence of int
        Who has each of them.
    copies : sequence of (int, int)
        (block, worker): where a block is to lie, too, so that it does not depend on one worker; first those that rows
        need there anyway, in the order of the rows.
    """

    rows: Sequence[int]
    workers: Sequence[int]
    copies: Sequence[tuple[int, int]]


def deal(needs: Flags, sizes: Floats, held: Flags, load: Floats, redundancy: int) -> Deal:
    """Deal rows to workers, the one first for which least has to move.

    Parameters
    ----------
    needs : (rows, blocks) array of bool
    sizes : (blocks,) array
        Bytes.
    held : (blocks, workers) array of bool
        Where blocks lie.
    load : (rows,) array
        Work; every worker gets about as much.
    redundancy : int
        Each block is to lie at so many workers more than one.

    Examples
    --------
    >>> needs, held = np.eye(4, dtype=bool), np.array([[0, 1], [1, 0], [0, 1], [1, 0]], dtype=bool)
    >>> dealt = deal(needs, np.ones(4), held, np.ones(4), redundancy=1)
    >>> list(zip(dealt.rows, dealt.workers)), dealt.copies
    ([(0, 1), (1, 0), (2, 1), (3, 0)], [(0, 0), (1, 1), (2, 0), (3, 1)])
    """
    held, workers = held.copy(), held.shape[1]
    planned, share = np.zeros(workers), load.sum() / workers
    left, order, owners = list(range(len(needs))), [], []
    copies: list[tuple[int, int]] = []
    weight = needs.astype(float)
    while left:
        missing = np.where(held, 0.0, (sizes * np.where(held.sum(axis=1) <= redundancy, SECOND, 1.0))[:, None])
        cost = weight[left] @ missing
        cost[:, planned >= share * (1 - 1e-9)] = np.inf
        ties = np.argwhere(cost <= cost.min() * (1 + 1e-12))
        at, worker = min(ties.tolist(), key=lambda tie: (planned[tie[1]], tie[0], tie[1]))
        row = left.pop(at)
        few = held.sum(axis=1) <= redundancy
        copies += [(int(block), worker) for block in np.flatnonzero(needs[row] & ~held[:, worker] & few)]
        held[needs[row], worker] = True
        planned[worker] += load[row]
        order.append(row)
        owners.append(worker)
    return Deal(order, owners, [*copies, *_copies(sizes, held, redundancy)])


def _copies(sizes: Floats, held: Flags, redundancy: int) -> list[tuple[int, int]]:
    """Where blocks go that lie at too few workers yet: to who gets fewest bytes so."""
    extra, copies = np.zeros(held.shape[1]), []
    for block, places in enumerate(held):
        for _ in range(redundancy + 1 - int(places.sum())):
            free = np.flatnonzero(~places)
            if not len(free):
                break
            worker = int(free[np.argmin(extra[free])])
            places[worker] = True
            extra[worker] += sizes[block]
            copies.append((block, worker))
    return copies
