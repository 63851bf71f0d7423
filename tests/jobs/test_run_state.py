"""A run as a state machine: told anything in any order it stays consistent, and over known delays it goes as ever."""

from __future__ import annotations

import json
import math
import operator

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import golden_runs
import kofn
from kofn.codes import RatelessRows
from kofn.engines._protocol import POLL_SECONDS
from kofn.errors import WorkerLost
from kofn.jobs._collector import Collector
from kofn.jobs._events import (
    Abandon,
    Arrived,
    CancelAsked,
    Closed,
    Decode,
    Encoded,
    Fail,
    Lost,
    Phase,
    PoolGone,
    Raised,
    Refused,
    Sent,
    Submit,
    Tick,
    Undelivered,
    WakeAt,
)
from kofn.jobs._state import RunState
from kofn.jobs.scheduling import Copy, InFlight, Rows, Scheduler, Wait
from kofn.jobs.scheduling._names import as_scheduler
from kofn.simulation import VirtualPool
from recorded_delays import Recorded

KEPT = json.loads(golden_runs.FILE.read_text())
PAIR = kofn.LinearCode("pair", np.eye(2), np.ones((1, 2)), worker=[0, 1])
COPIES = kofn.LinearCode("copies", np.eye(3)[[0, 1, 2, 0, 1, 2]], np.eye(3), worker=[0, 1, 2, 1, 2, 0])


def state_of(code=PAIR, workers=2, stop=None, scheduler=kofn.Static()):  # noqa: B008  immutable
    return RunState(Collector(code, stop=stop), workers, scheduler)


def started(*arguments, **options):
    """A state whose workers have what they are given first."""
    state = state_of(*arguments, **options)
    actions = state.handle(Encoded(["idle"] * len(state.view.states)), 0.0)
    while isinstance(actions[0], Submit):
        actions = state.handle(Sent(actions[0].worker, 0.0), 0.0)
    return state


@pytest.mark.parametrize("code", [code for code in golden_runs.CODES if not code.startswith("function")])
def test_over_recorded_delays_a_run_goes_as_on_a_pool_in_virtual_time(code):
    build, name = golden_runs.CODES[code]
    for history, options in golden_runs.HISTORIES.items():
        scheme, stop = build(name)
        deadline = options.get("deadline", math.inf)
        stop = stop if math.isinf(deadline) else stop | kofn.Deadline(deadline)
        scheduler = as_scheduler("kofn.run", "auto", scheme.adaptive)
        scheduler = golden_runs.EagerCopies(scheduler) if options.get("backup") else scheduler
        collector = Collector(scheme.code, lambda scheme=scheme: scheme.prior, "lmmse", stop, scheme.epsilon)
        lacks = Lacks(scheme.encoding().encode(np.empty))
        state = RunState(collector, golden_runs.WORKERS, scheduler, lacks)
        end = Recorded(state, options["delays"], options.get("deaths"), scheme.epsilon, lacks.place).run()
        told = [[a.row, a.worker, round(a.submitted, 9), round(a.ended, 9), a.outcome] for a in ordered(state)]
        assert [end, *told] == KEPT[f"{code}, {history}"], history


class Lacks:
    """How many values a worker lacks for a row, on a pool that has nothing at first."""

    def __init__(self, tasks):
        self.tasks, self.placed = tasks, set()

    def place(self, worker, rows):
        self.placed |= {(worker, key) for row in rows for key in self.tasks[row].resident}

    def __call__(self, worker, row):
        return sum((worker, key) not in self.placed for key in self.tasks[row].resident)


def ordered(state):
    return sorted(state.attempts, key=lambda attempt: (attempt.submitted, attempt.row))


def test_a_run_from_its_first_event_to_its_last():
    state = state_of()
    assert state.phase is Phase.ENCODING
    assert state.handle(Encoded(["idle", "starting"]), 0.5) == [Submit(0, [0])]
    assert state.handle(Sent(0, 0.5), 0.6) == [WakeAt(0.6 + POLL_SECONDS)]  # row 1 waits for a worker that starts
    assert state.handle(Tick({1: "idle"}), 0.7) == [Submit(1, [1])]
    assert state.handle(Sent(1, 0.7), 0.7) == [WakeAt(math.inf)]
    assert state.handle(Arrived(1, "idle", [0.0]), 1.0) == [WakeAt(math.inf)]
    assert state.handle(Arrived(0, "idle", [0.0]), 2.0) == [Decode()]
    assert state.phase is Phase.DECODING
    assert state.handle(Closed(), 2.0) == [] and state.phase is Phase.DONE
    assert [(a.row, a.worker, a.submitted, a.ended, a.outcome) for a in state.attempts] == [
        (1, 1, 0.7, 1.0, "arrived"),
        (0, 0, 0.5, 2.0, "arrived"),
    ]


def test_what_is_still_computed_in_the_end_is_abandoned():
    state = started(stop=kofn.Count(1))
    assert state.handle(Arrived(1, "idle", [0.0]), 1.0) == [Decode()]
    assert state.handle(Closed(), 1.5) == [Abandon(0)]
    assert [attempt.outcome for attempt in state.attempts] == ["arrived", "abandoned"]


def test_a_result_that_comes_while_it_is_decoded_is_taken():
    state = started(stop=kofn.Count(1))
    state.handle(Arrived(1, "idle", [0.0]), 1.0)
    assert state.handle(Arrived(0, "idle", [0.0]), 1.0) == [] and state.collector.exact
    assert state.handle(Lost(0, "dead"), 1.0) == [] and state.handle(Closed(), 1.0) == []


def test_a_row_that_was_lost_goes_to_another_until_it_is_given_up():
    state = started()
    assert state.handle(Arrived(0, "idle", [0.0]), 0.5) == [WakeAt(math.inf)]
    assert state.handle(Lost(1, "dead", WorkerLost("gone", 1)), 1.0) == [Submit(0, [1])]
    assert state.handle(Lost(0, "idle"), 2.0) == [Submit(0, [1])]
    assert state.handle(Lost(0, "idle"), 3.0) == [Fail("everything that can arrive has arrived")]
    assert state.given_up == [1] and state.phase is Phase.FAILED


def test_all_workers_gone_is_an_end_with_a_reason():
    state = started()
    state.handle(Lost(0, "dead"), 1.0)
    [failure] = state.handle(Lost(1, "dead", WorkerLost("burnt", 1)), 1.0)
    assert failure == Fail("all 2 workers are gone; the last: burnt")


def test_a_worker_that_refuses_a_row_is_looked_at_before_it_is_asked_again():
    state = state_of()
    assert state.handle(Encoded(["idle", "idle"]), 0.0) == [Submit(0, [0])]
    assert state.handle(Refused(0, "idle", WorkerLost("no", 0)), 0.0) == [Submit(1, [1])]
    assert state.handle(Sent(1, 0.0), 0.0) == [WakeAt(POLL_SECONDS)]
    assert state.handle(Tick({0: "idle"}), POLL_SECONDS) == [Submit(0, [0])]
    assert not state.attempts[:1]


def test_rows_that_came_back_without_results_are_tried_one_by_one():
    code = kofn.LinearCode("three", np.eye(3), np.ones((1, 3)), worker=[0, 0, 0])
    state = started(code, 1)
    state.view.speed.add(0, 1, 1.0, 1e-5)
    assert state.handle(Arrived(0, "idle", [0.0]), 1e-5) == [Submit(0, [1, 2])]
    blamed = kofn.TaskError("row 1", 0, 1)
    assert state.handle(Undelivered(0, "idle", blamed), 1.0) == [Submit(0, [1])]
    assert state.handle(Undelivered(0, "idle", blamed), 1.0) == [Fail("", blamed)]


@pytest.mark.parametrize(("event", "phase"), [(CancelAsked(), Phase.CANCELLED), (PoolGone(OSError()), Phase.FAILED)])
def test_it_can_end_before_and_while_it_runs(event, phase):
    for state in (state_of(), started()):
        [failure] = state.handle(event, 1.0)
        assert isinstance(failure, Fail) and failure.error is not None and state.phase is phase
        assert state.handle(event, 1.0) == []
        assert {type(action) for action in state.handle(Closed(), 1.0)} <= {Abandon}


def test_time_alone_can_end_it():
    state = started(stop=kofn.Decodable() | kofn.Deadline(3.0))
    assert state.handle(Arrived(0, "idle", [0.0]), 1.0) == [WakeAt(3.0)]
    assert state.handle(Tick(), 3.0) == [Decode()]


class Idler(Scheduler):
    def assign(self, worker, view):
        return Wait()


class Liar(Scheduler):
    def __init__(self, assignment):
        self.assignment = assignment

    def assign(self, worker, view):
        return self.assignment


def test_a_scheduler_that_gives_out_nothing_ends_a_run():
    [failure] = state_of(scheduler=Idler()).handle(Encoded(["idle", "dead"]), 0.0)
    assert "gives out none of the rows that wait" in failure.reason


@pytest.mark.parametrize("bad", [Rows([]), Rows([0, 0]), Rows([2]), Copy([1]), Copy([])])
def test_a_scheduler_that_gives_out_what_is_not_there_is_refused(bad):
    with pytest.raises(kofn.ArgumentError, match=r"'scheduler' must .*each once, but got"):
        state_of(scheduler=Liar(bad)).handle(Encoded(["idle", "idle"]), 0.0)


@pytest.mark.parametrize("bad", [None, 0, [0], Wait, "Wait", Rows(0), Rows(None), Rows(["0"]), Rows([0.5]), Copy("0")])
def test_a_scheduler_that_answers_with_something_else_is_refused(bad):
    with pytest.raises(
        kofn.ArgumentError, match=r"'scheduler' must (answer with Rows|give out numbers of rows).* from "
    ):
        state_of(scheduler=Liar(bad)).handle(Encoded(["idle", "idle"]), 0.0)


class Vandal(Scheduler):
    """Tries to change what it is shown."""

    def __init__(self, change):
        self.change = change

    def assign(self, worker, view):
        if view.waiting:
            with pytest.raises((AttributeError, TypeError)):
                self.change(view)
        return kofn.Static().assign(worker, view)


CHANGES = {
    "idle": lambda view: view.idle.clear(),
    "missing": lambda view: view.missing.discard(0),
    "received": lambda view: view.received.add(0),
    "waiting": lambda view: view.waiting.clear(),
    "a lane": lambda view: view.waiting[min(view.waiting)].clear(),
    "lanes": lambda view: [lane.pop() for lane in view.waiting.values()],
    "in_flight": lambda view: view.in_flight.clear(),
    "states": lambda view: operator.setitem(view.states, 0, "dead"),
    "groups": lambda view: view.groups.append(1),
    "paces": lambda view: view.paces.append(1.0),
    "now": lambda view: setattr(view, "now", 1e9),
    "makes_rows": lambda view: setattr(view, "makes_rows", True),
    "idle, anew": lambda view: setattr(view, "idle", set()),
    "copies": lambda view: setattr(view, "copies", len),
    "rows under way": lambda view: next(iter(view.in_flight.values())).rows.append(1) if view.in_flight else view.x,
    "send": lambda view: view.send(InFlight([0], 0, 0.0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_scheduler_cannot_change_what_it_sees(change):
    pool = VirtualPool([[1.0], [1.0], [1.0]])
    scheme = kofn.schemes.uncoded(np.eye(6), np.eye(6), blocks=(6, 1), workers=3)
    answer = kofn.run(scheme, pool, scheduler=Vandal(CHANGES[change]))
    assert answer.exact and answer.report.seconds == 2.0


class Dreamer(Scheduler):
    """Gives out nothing, and says when it would decide otherwise."""

    def __init__(self, look, restarts_at=math.inf):
        self.look, self.at = look, restarts_at

    def assign(self, worker, view):
        return Wait()

    def next_look(self, view):
        return self.look

    def restarts_at(self, message, view):
        return self.at


@pytest.mark.parametrize("look", [0.0, -math.inf, -1])
def test_a_scheduler_that_gives_out_nothing_although_its_time_has_come_ends_a_run(look):
    [failure] = state_of(scheduler=Dreamer(look)).handle(Encoded(["idle", "dead"]), 0.0)
    assert "gives out none of the rows that wait" in failure.reason


@pytest.mark.parametrize("look", [math.nan, None, "1", [1.0]])
def test_a_time_that_is_none_is_refused(look):
    with pytest.raises(kofn.ArgumentError, match="'scheduler' must answer next_look with a time in seconds"):
        state_of(scheduler=Dreamer(look)).handle(Encoded(["idle", "dead"]), 0.0)
    eager = type("Eager", (Dreamer,), {"assign": kofn.Static.assign})(math.inf, look)
    with pytest.raises(kofn.ArgumentError, match="'scheduler' must answer restarts_at with a time in seconds"):
        [submit] = (state := state_of(scheduler=eager)).handle(Encoded(["idle", "dead"], ends=True), 0.0)
        state.handle(Sent(submit.worker, 0.0), 0.0)


def test_rows_that_are_given_out_may_be_numbers_of_numpys():
    [submit] = state_of(scheduler=Liar(Rows(np.arange(2)))).handle(Encoded(["idle", "dead"]), 0.0)
    assert submit.rows == [0, 1]


def test_the_summary_says_where_everything_is():
    state = started(COPIES, 3)
    state.handle(Arrived(1, "idle", [0.0]), 0.25)
    state.handle(Sent(1, 0.25), 0.25)
    state.handle(Lost(2, "dead"), 0.5)
    assert state.summary() == "\n".join(
        [
            "copies: running at 0.500 s, Static(), given up []",
            "  received 1 of 6: [1]",
            "  worker 0: computes [0] since 0.000 s, waiting [5]",
            "  worker 1: computes [3] since 0.250 s, waiting []",
            "  worker 2: dead, waiting [2, 4]",
        ]
    )


WORKERS = st.integers(0, 2)
STATES = st.sampled_from(["idle", "idle", "idle", "starting", "busy", "dead"])
ENDS = {Phase.DONE, Phase.CANCELLED, Phase.FAILED}
AFTER = {
    Phase.ENCODING: set(Phase),
    Phase.RUNNING: set(Phase) - {Phase.ENCODING, Phase.DONE},
    Phase.DECODING: {Phase.DECODING, Phase.DONE},
    **{end: {end} for end in ENDS},
}


class AnyEvents(RuleBasedStateMachine):
    """Events of any kind, whether they fit or not; the only thing that is true to life is that time goes on."""

    @initialize(
        base=st.sampled_from([kofn.Static(), kofn.Adaptive()]),
        over=st.sampled_from(
            [
                lambda base: base,
                golden_runs.EagerCopies,
                lambda base: kofn.Speculative(0.2, base=base),
                kofn.Duplicates,
                lambda base: kofn.CodedBackups(base, after=1.0),
            ]
        ),
        stop=st.sampled_from([None, kofn.Count(2), kofn.Deadline(5.0)]),
    )
    def start(self, base, over, stop):
        scheduler = over(base)
        self.state = RunState(Collector(COPIES, stop=stop), 3, scheduler, rows=RatelessRows(COPIES))
        self.now = 0.0
        self.tell(Encoded(["idle", "starting", "idle"]))

    def tell(self, event):
        before, idle = self.state.phase, set(self.state.view.idle)
        actions = self.state.handle(event, self.now)
        assert self.state.phase in AFTER[before]
        if self.state.phase in ENDS and before in ENDS:
            assert all(isinstance(action, Abandon) for action in actions)
        for action in actions:
            if isinstance(action, Submit):
                news = {event.worker} if hasattr(event, "worker") else set(range(3))
                assert self.state.phase is Phase.RUNNING and action.worker in idle | news
                assert list(self.state.view.in_flight[action.worker].rows) == list(action.rows)
            if isinstance(action, WakeAt) and math.isinf(action.time):
                assert self.state.view.in_flight  # or nothing would ever happen again
        assert len(actions) == 1 or self.state.phase is not Phase.RUNNING

    @rule(worker=WORKERS)
    def sent(self, worker):
        self.tell(Sent(worker, self.now))

    @rule(worker=WORKERS, state=STATES)
    def refused(self, worker, state):
        self.tell(Refused(worker, state, WorkerLost("refused", worker)))

    @rule(worker=WORKERS, state=STATES)
    def arrived(self, worker, state):
        message = self.state.view.in_flight.get(worker)
        self.tell(Arrived(worker, state, [0.0] * len(message.rows if message else [0])))

    @rule(worker=WORKERS, state=STATES)
    def lost(self, worker, state):
        self.tell(Lost(worker, state, WorkerLost("lost", worker)))

    @rule(worker=WORKERS, state=STATES)
    def undelivered(self, worker, state):
        message = self.state.view.in_flight.get(worker)
        if message is None or len(message.rows) > 1:
            self.tell(Undelivered(worker, state, kofn.TaskError("no", worker, 0)))

    @rule(states=st.dictionaries(WORKERS, STATES), seconds=st.sampled_from([0.0, 1e-4, 0.5, 2.0]))
    def tick(self, states, seconds):
        self.now += seconds
        self.tell(Tick(states))

    @precondition(lambda self: self.now > 2.0)
    @rule(event=st.sampled_from([CancelAsked(), PoolGone(OSError()), Raised(0, kofn.TaskError("no", 0, 0)), Closed()]))
    def end(self, event):
        self.tell(event)

    @rule()
    def encoded_again(self):
        self.tell(Encoded(["idle"] * 3))

    @invariant()
    def holds(self):
        if hasattr(self, "state"):
            self.state.check()


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(max_examples=60, stateful_step_count=40)
