"""Figures that no paper has: against closed forms, counted bytes, and what is known of liars."""

import json

import numpy as np
import pytest

from kofn_studies.figures import FIGURES, OWN, Request, own_liars, own_policies, own_traffic, own_workers
from kofn_studies.figures.gallery import page
from kofn_studies.figures.verdicts import verdicts


def computed(study):
    return study.figure({point: point.compute(None) for point in study.points})


def shown(name, figure):
    pytest.importorskip("matplotlib")
    assert json.loads(json.dumps(figure.json, allow_nan=False))["id"] == name
    return FIGURES[name].draw(figure)


def test_where_nothing_straggles_plain_work_takes_the_largest_of_the_workers_times():
    """Of eight times between 0.9 and 1.1 the largest has the median 0.9 + 0.2 · (1/2)^(1/8)."""
    figure = computed(own_policies.study(Request(50, quick=True)))
    plain = figure["plain-quiet"]
    assert plain.x == (1, 2, 4, 8)
    assert plain.y[0] == pytest.approx(0.9 + 0.2 * 0.5 ** (1 / own_policies.WORKERS), abs=5 * plain.err[0] + 1e-9)
    assert figure["coded-p99"].x == own_policies.QUICK_TRACES
    # One worker of eight is ten times slower: in plain work one of its 64 tasks takes ten eighths, in the best case.
    slow = figure["plain-p99"].x.index("slow-worker")
    assert figure["plain-p99"].y[slow] > 1.125
    assert 8 / 7.1 * 0.9 < figure["coded-p99"].y[slow] < 1.2
    shown("own-policies", figure)


def test_a_trace_that_plain_work_never_ends_is_left_out():
    runs = [{"tasks": np.array([1, 2]), "p50": np.array([np.inf, np.inf]), "p99": np.array([np.inf, np.inf])}] * 2
    ends = [{"tasks": np.array([1, 2]), "p50": np.array([2.0, 1.0]), "p99": np.array([2.0, 1.5])}] * 2
    assert own_policies.over_traces("plain", "p50", {"dead-worker": runs, "noise": ends}).json == {
        "name": "plain-p50", "x": ("noise",), "y": (1.0,), "err": (0.0,)
    }  # fmt: skip


def test_speed_is_bounded_by_workers_and_by_messages():
    figure = computed(own_workers.study(Request(20, quick=True)))
    for name in own_workers.NAMES:
        free = np.array(figure[f"{name}-free"].y)
        assert np.all(free <= 1.5 * np.array(figure[f"{name}-free"].x))  # half of a task's time is fixed, at least
        for seconds in own_workers.SECONDS:
            assert np.all(np.array(figure[f"{name}-{seconds}s"].y) <= free * (1 + 1e-12))
    canvas = shown("own-workers", figure)
    assert len(canvas.axes) == 4
    found = {"tasks": np.array([1.0, 8.0]), "p50": np.array([2.0, 1.0])}
    assert own_workers.speed(found, 10, 100.0, 0.1) == pytest.approx(100.0 / 10.0)  # 80 messages of 0.1 s fit into 10 s
    assert own_workers.speed(found, 10, 100.0, 1.0) == pytest.approx(100.0 / 20.0)  # ten of 1 s into 20 s


def test_bytes_are_those_of_blocks_and_vectors():
    """A once, B to each of three workers, the product back; of an operator only vectors, there and back."""
    pytest.importorskip("distributed")
    n, number = 64, 8
    counted = {}
    for way in own_traffic.WAYS:
        counted |= {name: int(count) for name, count in own_traffic.Traffic(way, n, 0).compute(None).items()}
    of_workers = own_traffic.WORKERS
    assert set(counted) == set(own_traffic.NAMES)
    assert counted["arrays"] == pytest.approx(number * n * n * (2 + of_workers), rel=0.03)
    # Vectors go to all workers or, where one is late and others stand in, to all but one, or to some of them twice.
    assert 0.97 * number * n * of_workers <= counted["operator-next"] <= 2.06 * number * n * (1 + of_workers)
    # A and what protects it against the loss of any one worker.
    assert 1 < (counted["operator-first"] - counted["operator-next"]) / (number * n * n) < 2
    # Nine of sixteen pairs of blocks lie apart, if they are at random places; each block travels to a worker once.
    assert counted["remote"] == 0 < counted["remote-between"] <= 2 * number * n * n * (of_workers - 1)
    points = FIGURES["own-traffic"].plan(Request(2, quick=True))
    results = {
        point: {name: np.array(counted[name]) for name in counted if name.startswith(point.way)}
        for point in points.points
    }
    shown("own-traffic", points.figure(results))


@pytest.mark.parametrize("fault", own_liars.FAULTS)
def test_up_to_the_liars_that_can_be_found_no_answer_is_wrong(fault):
    """Twelve results of which six decode: five liars are found by the redundancy, any number with a key."""
    for liars in (0, 3, 5):
        ends = own_liars.LiarRuns(fault, liars, 3, 1).compute(None)
        assert not ends["wrong"].any() and not ends["accused"].any()
        assert np.all(ends["named"] <= liars) and np.all(ends["right"] + ends["refused"] == 1)
        assert fault == "colluding" or ends["right"].all()


def test_seven_of_twelve_that_agree_outvote_the_others_and_a_key_holds():
    tied = own_liars.LiarRuns("scaled", 6, 6, 1).compute(None)
    assert tied["refused"].all()
    assert own_liars.LiarRuns("scaled", 7, 2, 1).compute(None)["wrong"].all()
    assert own_liars.LiarRuns("keyed", 7, 2, 1).compute(None)["right"].all()


def test_the_gallery_has_ours_under_a_heading_of_their_own():
    figure = FIGURES["own-liars"].figure(Request(2, quick=True))
    shown("own-liars", figure)
    text = page([FIGURES["uep-fig8"].figure(Request(2)), figure])
    assert text.index('<h2 id="uep-fig8">') < text.index("<h1>Ours</h1>") < text.index('<h2 id="own-liars">')
    assert {recipe.id for recipe in OWN} == {name for name in FIGURES if name.startswith("own-")}
    said = verdicts(FIGURES["own-liars"].figure(Request(3)))
    assert said[0].what.removeprefix("kofn: ").startswith("wrong products, checked with a key")
    assert said[0].said == "no answer is wrong" and said[1].said.endswith("where liars are the majority")
