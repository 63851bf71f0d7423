"""Stop rules: their algebra, and what they look at."""

import math
import queue
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from kofn._base._clock import RealClock
from kofn.errors import ArgumentError
from kofn.jobs._stop import Both, Count, Deadline, Decodable, Either, StopRule, Tolerance, stop_rule
from kofn.simulation import VirtualPool


@dataclass
class Now:
    count: int = 0
    time: float = 0.0
    exact: bool = False
    error: float = 1.0
    latest: float = 0.0


class Untouchable(Now):
    @property
    def error(self):
        raise AssertionError("a rule that needs no error must not compute it")

    @error.setter
    def error(self, value):
        pass


situations = st.builds(Now, st.integers(0, 5), st.floats(0, 5), st.booleans(), st.floats(0, 1, exclude_min=True))
plain = st.one_of(
    st.just(Decodable()),
    st.builds(Count, st.integers(1, 5)),
    st.builds(Deadline, st.floats(0.1, 5)),
    st.builds(Tolerance, st.floats(0.01, 1)),
)
rules = st.recursive(plain, lambda inner: st.builds(Either, inner, inner) | st.builds(Both, inner, inner))


@given(rules, rules, situations)
def test_or_and_and_are_or_and_and(one, other, now):
    assert (one | other).is_met(now) == (one.is_met(now) or other.is_met(now))
    assert (one & other).is_met(now) == (one.is_met(now) and other.is_met(now))


@given(rules, situations, st.integers(0, 3), st.floats(0, 3), st.floats(0, 1))
def test_a_rule_once_met_stays_met(one, now, more, later, share):
    after = Now(now.count + more, now.time + later, now.exact, now.error * share)
    assert one.is_met(after) or not one.is_met(now)


def at(now, time):
    return Now(now.count, time, now.exact, now.error)


@given(rules, situations, st.floats(0, 10))
def test_between_arrivals_a_rule_turns_only_when_it_wants_to_be_woken(one, now, passed):
    later = now.time + passed
    if not one.is_met(now) and one.is_met(at(now, later)):
        wakes = [one.next_change(now.time)]
        while not one.is_met(at(now, wakes[-1])):
            wakes.append(one.next_change(wakes[-1]))
        assert now.time < wakes[-1] <= later
        assert wakes == sorted(set(wakes))


def test_a_driver_that_has_everything_waits_for_the_deadline_of_both():
    both = Decodable() & Deadline(1.0)
    assert not both.is_met(Now(time=0.5, exact=True))
    assert both.next_change(0.5) == 1.0
    assert math.isinf(both.next_change(1.0))
    assert (Deadline(1.0) & Deadline(3.0)).next_change(1.0) == 3.0


def test_each_rule_alone():
    assert Decodable().is_met(Now(exact=True))
    assert not Decodable().is_met(Now(error=0.0))
    assert [Count(2).is_met(Now(count=n)) for n in (1, 2, 3)] == [False, True, True]
    assert [Deadline(2.0).is_met(Now(time=t)) for t in (1.9, 2.0)] == [False, True]
    assert [Tolerance(0.1).is_met(Now(count=1, error=e)) for e in (0.11, 0.1)] == [False, True]
    assert Tolerance(0.1).is_met(Untouchable(count=1, exact=True))
    assert not Tolerance(0.1).is_met(Untouchable(count=0))
    assert not (Decodable() | Count(3)).is_met(Untouchable())


def test_what_tolerance_and_deadline_mean_together():
    assert stop_rule("f") == Decodable()
    assert stop_rule("f", 0.0, 3.0) == Decodable() | Deadline(3.0)
    assert stop_rule("f", 0.2) == Tolerance(0.2)
    assert stop_rule("f", 0.2, 3.0).next_change() == 3.0


@pytest.mark.parametrize(
    "make",
    [lambda: Count(0), lambda: Count(1.5), lambda: Count(True), lambda: Deadline(0), lambda: Deadline(-1.0),
     lambda: Deadline(math.nan), lambda: Deadline("soon"), lambda: Deadline("2"), lambda: Tolerance(10**400),
     lambda: Tolerance(0), lambda: Tolerance(math.inf),
     lambda: stop_rule("f", -0.1), lambda: stop_rule("f", 0.0, -2.0)],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused(make):
    with pytest.raises(ArgumentError, match="must be"):
        make()


@pytest.mark.parametrize("combine", [lambda a, b: a | b, lambda a, b: a & b])
def test_only_rules_are_combined(combine):
    with pytest.raises(TypeError, match="unsupported operand"):
        combine(Decodable(), 3)


def test_the_clock_waits_however_far_away_the_deadline_is():
    inbox = queue.SimpleQueue()
    inbox.put("result")
    assert RealClock().wait(inbox, 1e300) == "result"


class Never(StopRule):
    def is_met(self, now):
        return False

    def __repr__(self):
        return "Never()"


class AtOnce(StopRule):
    def is_met(self, now):
        return True

    def __repr__(self):
        return "AtOnce()"


@pytest.mark.parametrize("rule", [Count(1000), Never(), Decodable() & Count(4)], ids=str)
def test_a_rule_that_exact_results_do_not_meet_is_told_so(rule):
    scheme = kofn.schemes.mds(np.eye(6), np.eye(6), workers=3, rng=0)
    with kofn.ThreadPool(3) as pool, pytest.raises(ArgumentError) as caught:
        kofn.run(scheme, pool, stop=rule)
    assert f"but got {rule}, which exact targets from all 3 rows do not meet; ask for less." in str(caught.value)


def test_a_rule_that_is_met_before_anything_arrives_speaks_of_no_deadline():
    scheme = kofn.schemes.mds(np.eye(6), np.eye(6), workers=3, rng=0)
    pool = VirtualPool(delays=[[1.0], [1.0], [1.0]])
    with pytest.raises(kofn.NotDecodable, match=r"AtOnce\(\) was met before any result arrived .*look at now\.count"):
        kofn.run(scheme, pool, stop=AtOnce())
    with pytest.raises(kofn.NotDecodable, match="the deadline passed before any result arrived"):
        kofn.run(scheme, pool, deadline=0.5)


@pytest.mark.parametrize("options", [{"tolerance": 0.9}, {"deadline": 2.0}, {"tolerance": 0.9, "deadline": 2.0}])
def test_a_stop_rule_beside_a_tolerance_or_a_deadline_is_refused(options):
    sentence = f"'stop' must be left out where '{next(iter(options))}' is given, but got .*; combine rules"
    with kofn.ThreadPool(1) as pool, kofn.CodedSum([abs], workers=pool) as total:
        with pytest.raises(ArgumentError, match=sentence):
            total(1.0, stop=kofn.Count(1), **options)
        with pytest.raises(ArgumentError, match="'stop' must be a stop rule, but got 'soon'"):
            total(1.0, stop="soon")
        assert total(1.0, **options).exact and total(1.0, stop=kofn.Count(1)).exact


@pytest.mark.parametrize("wrong", ["soon", None, math.nan])
def test_a_rule_that_names_no_moment_is_refused_in_a_sentence(wrong):
    class Vague(StopRule):
        def is_met(self, now):
            return now.exact

        def next_change(self, after=-math.inf):
            return wrong

    for rule in (Vague(), Vague() | Deadline(5.0)):
        with pytest.raises(kofn.ArgumentError, match=r"'stop' must answer next_change with seconds since the start"):
            kofn.sum([abs, abs], 1.0, workers=kofn.simulation.VirtualPool([[1.0]] * 2), stop=rule)
        with pytest.raises(kofn.ArgumentError, match=r"'stop' must answer next_change with seconds since the start"):
            kofn.map(abs, [1, 2], workers=kofn.simulation.VirtualPool([[1.0]] * 2), stop=rule)


def test_a_tolerance_that_everything_meets_is_refused_as_a_rule_too():
    with pytest.raises(kofn.ArgumentError, match=r"kofn.Tolerance: 'error' must be at most 1"):
        kofn.Tolerance(2)


def test_a_map_that_a_rule_ends_before_anything_came_says_which_rule():
    class AtOnce(StopRule):
        def is_met(self, now):
            return True

    with pytest.raises(kofn.NotDecodable, match=r"was met before any result arrived.*let it look at now.count"):
        kofn.map(abs, [1, 2], workers=kofn.simulation.VirtualPool([[1.0]] * 2), stop=AtOnce())


def test_no_progress_counts_from_the_newest_result():
    rule = kofn.NoProgress(2.0)
    assert [rule.is_met(Now(count=1, time=time, latest=1.0)) for time in (2.9, 3.0)] == [False, True]
    assert rule.next_change_of(Now(count=1, time=1.5, latest=1.0)) == 3.0
    assert math.isinf(rule.next_change_of(Now(count=1, time=3.0, latest=1.0)))
    both = Decodable() | rule | Deadline(9.0)
    assert both.next_change_of(Now(time=1.5, latest=1.0)) == 3.0 and both.next_change_of(Now(time=4.0)) == 9.0


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, "2"])
def test_no_progress_wants_seconds(seconds):
    with pytest.raises(ArgumentError, match=r"kofn.NoProgress: 'seconds' must be"):
        kofn.NoProgress(seconds)


def test_a_run_without_progress_ends_with_what_there_is():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((12, 8)), rng.standard_normal((8, 6))
    stop, delays = Decodable() | kofn.NoProgress(3.0), [[1.0], [2.5], [5.0], [math.inf]]
    options = {"workers": VirtualPool(delays), "code": "uncoded", "scheduler": "static", "blocks": (4, 1)}
    answer = kofn.matmul(A, B, stop=stop, **options)
    assert answer.report.seconds == 8.0 and answer.recovered.ravel().tolist() == [True, True, True, False]
    np.testing.assert_allclose(answer.value[:9], A[:9] @ B)
    with pytest.raises(kofn.NotDecodable, match=r"NoProgress.* was met before any result arrived .* use more seconds"):
        kofn.matmul(A, B, stop=Decodable() | kofn.NoProgress(0.5), **{**options, "workers": VirtualPool(delays)})


def test_a_map_without_progress_ends_with_what_there_is():
    pool = VirtualPool([[1.0, 1.0, math.inf], [math.inf]])
    answer = kofn.map(abs, range(4), workers=pool, stop=Decodable() | kofn.NoProgress(30.0))
    assert not answer.exact and 0 < answer.count < 4 and answer.report.seconds >= 30.0


def test_a_simulation_knows_no_progress():
    scheme = kofn.schemes.uncoded(np.eye(3), np.eye(3), workers=3)
    arrivals = np.array([[1.0, 2.0, 9.0], [1.0, 2.0, 3.0], [6.0, 7.0, 8.0]])
    for stop, expected in [
        (Decodable() | kofn.NoProgress(4.0), [6.0, 3.0, 4.0]),
        (kofn.NoProgress(4.0) & Count(2), [6.0, 7.0, 12.0]),
    ]:
        np.testing.assert_array_equal(kofn.simulation.stop_times(scheme, arrivals, stop=stop), expected)
