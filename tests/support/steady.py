"""A pool in virtual time whose workers take so many seconds a row, however rows travel."""

from __future__ import annotations

from kofn.jobs._message import run_batch, run_own_batch
from kofn.simulation import VirtualPool


class SteadyPool(VirtualPool):
    """Worker w takes ``seconds[w]`` a row."""

    def __init__(self, seconds, deaths=None):
        super().__init__([[0.0]] * len(seconds), deaths)
        for slot, each in zip(self._slots, seconds, strict=True):
            slot.seconds, slot.begin = each, slot.start
            slot.start = self._start_of(slot)

    @staticmethod
    def _start_of(slot):
        def start(call, values):
            function, arguments = call
            slot.delays = [slot.seconds * (len(arguments[-1]) if function in (run_batch, run_own_batch) else 1)]
            return slot.begin(call, values)

        return start
