"""Checks by what is redundant: results more than a code needs contradict it where one of them is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from .._base._numbers import EPSILON, apart_at_most, epsilon_of
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes.decoding._syndromes import deviations, locate, tell_alone
from ..errors import Corrupted, TaskError
from ..schemes._task import Task, kind_of, name_some
from . import _events as on
from ._alike import difference
from ._checks import Checks, Heard
from ._compared import Compared
from .report._attempt import Wrong


@final
class Redundant(Checks):
    """All results are audited together, once there are some more than the code needs.

    Those that the others prove wrong are withdrawn. Where it is not certain which are, or a result stands alone, other
    workers compute the rows in question once more, and two that say the same are believed (`Compared`).

    Parameters
    ----------
    code : LinearCode
        Dense.
    surplus : int
    compared : Compared
        For rows in question.
    corrects : bool
        Whether anything is withdrawn. Otherwise what is wrong is `kofn.Corrupted`.
    claim : str
        What results are taken to be beyond what the code says of them; they may contradict that, and not each other.
    lies : int
    epsilon : float
        Relative precision of what results are computed from; that of the results themselves counts as well.
    kind : callable
        ``kind(result)`` is what all results have to have in common.
    """

    compares = True

    def __init__(
        self,
        code: LinearCode,
        surplus: int,
        compared: Compared,
        corrects: bool,
        claim: str = "",
        lies: int = 1,
        epsilon: float = EPSILON,
        kind: Callable[[Any], ArraySpec | None] = kind_of,
    ) -> None:
        super().__init__(lies)
        self.surplus = surplus
        self._code, self._compared, self._corrects, self._claim = code, compared, corrects, claim
        self._epsilon, self._kind = epsilon, kind
        self._taken: dict[int, tuple[int, Any]] = {}
        self._misfits: set[tuple[int, int, ArraySpec | None]] = set()  # row, worker, and what its result was like
        self._refused: dict[int, tuple[int, Any]] = {}
        self._kinds: dict[int, Counter[ArraySpec | None]] = {}  # of each worker's results
        self._disproved: dict[int, list[tuple[int, Any]]] = {}

    def hear(self, worker: int, row: int, task: Task | None, result: Any) -> Heard:
        """Take it for the audit, or compare it where its row is in question."""
        kind = self._kind(result)
        self._kinds.setdefault(worker, Counter())[kind] += 1
        self._absolve(worker, row, result)
        if self._compared.is_asked(row):
            if kind != self._usual:  # two that agree on such a one are two liars
                self._misfits.add((row, worker, kind))
                return Heard.UNSURE
            heard = self._compared.hear(worker, row, task, result)
            self._pass_on()
            if heard is not Heard.RIGHT:
                return heard
            self._tell_equals(row)
        self._taken[row] = worker, result
        return Heard.RIGHT

    def misfit(self, worker: int, row: int, result: Any, error: TaskError) -> Heard:
        """Believe what most workers return of shape and type, and of the rest what two of them return."""
        self._taken.pop(row, None)
        if others := self._of_another_kind(result):
            self._news.append(on.Withdrawn((), self._leave(others)))
            self._taken[row] = worker, result
            return Heard.RIGHT
        if (kind := self._kind(result)) != self._usual:
            self._misfits.add((row, worker, kind))
            return Heard.UNSURE
        self._refused[row] = worker, result
        heard = self._compared.hear(worker, row, None, result)
        if heard is Heard.RIGHT:
            raise error
        return heard

    def audit(self, received: Sequence[int], payloads: Mapping[int, Any], last: bool = False) -> on.Event:
        """Look for rows that contradict the others."""
        those = [payloads[row] for row in received]
        usual = self._usual
        if odd := [row for row in received if self._kind(self._taken[row][1]) != usual]:
            return self._unlike(odd)
        noise = apart_at_most(max(self._epsilon, *(epsilon_of(self._taken[row][1]) for row in received)))
        try:
            found = locate(self._code, received, those, noise)
        except Corrupted as error:
            return self._unclear(error.candidates, last) or self._vouched(received, those, noise)
        alone = self._unsettled(found.unchecked)
        wrong = self._unsettled(found.wrong)
        if len(wrong) < len(found.wrong):
            return self._doubt(found.wrong) or self._unclear(received, last) or self._vouched(received, those, noise)
        of_one = self._of_one([row for row in received if row not in found.wrong])
        if wrong and of_one:  # one worker's story may be what makes others look wrong
            return self._unclear([*wrong, *of_one], last) or self._vouched(received, those, noise)
        if wrong and not self._corrects:
            raise self._contradiction(wrong)
        sizes = deviations(self._code, received, those, wrong, noise)
        self.wrong += [Wrong(row, self._taken[row][0], size) for row, size in zip(wrong, sizes, strict=True)]
        pairs = [(row, self._taken[row][0]) for row in wrong]
        for row in wrong:
            self._disproved.setdefault(row, []).append(self._taken.pop(row))
        again = [*pairs, *self._question({*alone, *of_one})]
        return on.Withdrawn(pairs, again) if again else self._vouched(received, those, noise)

    def unsettled(self) -> Corrupted | None:
        """Rows in question of which no two workers said the same, or several what is unlike all other results."""
        return self._compared.unsettled() or self._misfitting()

    def remark(self) -> str:
        """That nothing was checked."""
        return f"; {self.surplus} results more than are needed were wanted, to check them"

    @property
    def _usual(self) -> ArraySpec | None:
        """Shape and type of what most workers return most often: many may be asked of one row that is unlike others."""
        return Counter(said.most_common(1)[0][0] for said in self._kinds.values()).most_common(1)[0][0]

    def _of_another_kind(self, result: Any) -> list[int]:
        """Rows that were taken although most workers return results of this shape and type instead."""
        usual = self._usual
        if self._kind(result) != usual:
            return []
        return [row for row, (_, one) in self._taken.items() if self._kind(one) != usual]

    def _unlike(self, rows: Sequence[int]) -> on.Withdrawn:
        if not self._corrects:
            raise self._contradiction(rows)
        return on.Withdrawn((), self._leave(rows))

    def _leave(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Have rows computed by others, whatever was said so far."""
        left = [(row, *self._taken.pop(row)) for row in rows]
        self._misfits |= {(row, worker, self._kind(result)) for row, worker, result in left}
        return [(row, worker) for row, worker, _ in left]

    def _of_one(self, rows: Sequence[int]) -> list[int]:
        """Rows that one worker alone tells of, which may be wrong together and agree with all others."""
        own: dict[int, list[int]] = {}
        for row in self._unsettled(rows):
            own.setdefault(self._taken[row][0], []).append(row)
        several = [some for some in own.values() if len(some) > 1]
        return [row for some in several if tell_alone(self._code, rows, some) for row in some]

    def _unsettled(self, rows: Iterable[int]) -> list[int]:
        return [row for row in rows if not self._compared.is_settled(row)]

    def _question(self, rows: Collection[int]) -> list[tuple[int, int]]:
        """Have rows computed by others; what was said so far is one opinion."""
        asked = []
        for row in sorted(rows):
            worker, result = self._taken.pop(row)
            self._compared.hear(worker, row, None, result)
            asked.append((row, worker))
        return asked

    def _doubt(self, rows: Sequence[int]) -> on.Withdrawn | None:
        """Have a third worker compute a row that two have said the same of, and that all others contradict.

        Two may lie in the same way by chance. Of several rows it would be a story, which three could tell as well.
        """
        accused = self._compared.doubt(rows[0]) if len(rows) == 1 else None
        if accused is None:
            return None
        self.wrong = [one for one in self.wrong if (one.row, one.worker) not in accused]
        equals = self._compared.equals(rows[0], list(self._taken))
        return on.Withdrawn((), [(row, self._taken.pop(row)[0]) for row in equals])

    def _tell_equals(self, row: int) -> None:
        """Now that two have said the same of a row, withdraw what was taken of its equals and is not that."""
        for other in self._compared.equals(row, list(self._taken)):
            worker, result = self._taken[other]
            if other != row and self._compared.hear(worker, other, None, result) is Heard.WRONG:
                del self._taken[other]
                self._news.append(on.Withdrawn([(other, worker)], [(other, worker)]))
        self._pass_on()

    def _vouched(self, received: Sequence[int], those: Sequence[Any], noise: float) -> on.Vouched:
        """Now that it is known what results are, those that were not taken for their kind or their numbers are wrong.

        Not so where only others, which have turned out to be lies, spoke against them, nor where several returned the
        same kind for a row, and none what is usual: it may be what its task returns.
        """
        kinds = {self._kind(result) for _, result in self._taken.values()}
        alike = Counter((row, kind) for row, _, kind in self._misfits)
        for row, worker, kind in sorted(self._misfits, key=lambda one: one[:2]):
            if kind not in kinds and (row in self._taken or alike[row, kind] == 1):
                self.wrong.append(Wrong(row, worker, math.inf))
        for row, (worker, result) in self._refused.items():
            if not self._compared.is_settled(row) and row not in received:
                size = math.inf
                if self._kind(result) in kinds:
                    size = self._off([*received, row], [*those, np.asarray(result)], noise)
                self.wrong += [Wrong(row, worker, size)] if size > 1.0 else []
        self._misfits.clear()
        self._refused.clear()
        return on.Vouched()

    def _off(self, rows: Sequence[int], results: Sequence[Any], noise: float) -> float:
        """How far the last of some results is off; 0.0 where the others do not prove it wrong."""
        try:
            wrong = locate(self._code, rows, results, noise).wrong
        except Corrupted:
            return 0.0
        return deviations(self._code, rows, results, rows[-1:], noise)[0] if rows[-1] in wrong else 0.0

    def _absolve(self, worker: int, row: int, result: Any) -> None:
        """Believe what was disproved once another worker returns the same."""
        for other, before in self._disproved.get(row, ()):
            if other != worker and not self._compared.is_settled(row) and difference(before, result) <= 1.0:
                self._compared.hear(other, row, None, before)
                self._compared.hear(worker, row, None, result)
                self.wrong = [one for one in self.wrong if (one.row, one.worker) != (row, other)]

    def _unclear(self, candidates: Collection[int], last: bool) -> on.Event | None:
        """What is to be done where it is not certain which are wrong; None where all that can be known is known."""
        rows = self._unsettled(row for row in candidates if row in self._taken)
        if not self._corrects:
            raise self._contradiction(sorted(candidates))
        if rows:
            return on.Withdrawn((), self._question(rows)) if last else on.Unclear(self._contradiction(rows))
        if self._claim:
            return None  # two workers said each of it: the judge of the results says what is not as claimed
        text = f"two workers or more each returned the results of {self._code.name}, and they contradict its generator"
        why = "some are wrong in the same way, or its rows are not what its tasks compute"
        return on.Unclear(Corrupted(f"{text}: {why}.", sorted(candidates)))

    def _pass_on(self) -> None:
        self._news += self._compared.news()
        self.wrong += self._compared.wrong
        self._compared.wrong = []

    def _misfitting(self) -> Corrupted | None:
        """Rows for which several workers returned what is unlike the results of all others."""
        said = Counter((row, kind) for row, _, kind in self._misfits)
        found = next((one for one, count in said.items() if count > 1 and one[0] not in self._taken), None)
        if found is None:
            return None
        row, kind = found
        whose = name_some("worker", sorted(worker for other, worker, of in self._misfits if (other, of) == found))
        given = "no numbers" if kind is None else str(kind)
        text = f"{whose} returned {given} for {self._compared.name([row])}, where most results are {self._usual}"
        return Corrupted(f"{text}: they are wrong, or the code is of no use here; use one that mixes nothing.", [row])

    def _contradiction(self, rows: Sequence[int]) -> Corrupted:
        text = f"results of {self._code.name} contradict each other, and {name_some('row', rows)} may be wrong"
        also = f", or f is not {self._claim}" if self._claim else ""
        remedy = "use more rows or workers" if self._corrects else "ask verify='correct' to have them computed again"
        return Corrupted(f"{text}{also}; {remedy}.", rows)
