"""A bar on a terminal and in notebooks, and nothing where output is piped."""

import io
import sys
import threading
import types

import numpy as np
import pytest

import kofn
from kofn.jobs.report._bar import Bar
from kofn.simulation import VirtualPool

pytest.importorskip("tqdm")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def scheme():
    A, B = np.random.default_rng(0).standard_normal((2, 12, 12))
    return kofn.schemes.mds(A, B, blocks=(3, 1), rows=4, workers=4, rng=0)


def run(scheme, **options):
    return kofn.run(scheme, workers=VirtualPool([[1.0], [2.0], [3.0], [4.0]]), **options)


def test_on_a_terminal_it_counts_to_the_end_and_leaves_a_line(scheme, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    threads = threading.active_count()
    assert run(scheme, progress="bar").exact
    shown = screen.getvalue()
    assert "3/3" in shown and "exact" in shown.split("\r")[-1] and shown.endswith("\n")
    assert threading.active_count() == threads


def test_where_output_is_piped_there_is_none(scheme, monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    run(scheme, progress="bar")
    assert pipe.getvalue() == ""


def test_a_bar_of_a_run_that_ends_early_says_how_good_the_estimate_is(scheme, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert not run(scheme, progress="bar", deadline=2.5).exact
    last = screen.getvalue().split("\r")[-1]
    assert "2/3" in last and "expected error" in last and last.endswith("\n")


def test_a_map_is_counted_by_its_inputs(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with kofn.ThreadPool(2) as pool:
        kofn.map(abs, iter(range(-20, 0)), workers=pool, progress="bar")
    assert "20/20" in screen.getvalue().split("\r")[-1]


def test_in_a_notebook_it_is_shown_though_nothing_is_a_terminal(monkeypatch):
    import tqdm.auto
    from tqdm.std import tqdm as plain

    shown = types.new_class("tqdm", (plain,), {}, lambda body: body.update(__module__="tqdm.notebook"))
    monkeypatch.setattr(tqdm.auto, "tqdm", shown)
    output = io.StringIO()
    bar = Bar(output)
    bar(kofn.Progress(1, 4, 1, 3, 0.5, False, 0.1))
    bar.close()
    assert "1/3" in output.getvalue() and "50.0 %" in output.getvalue()


def test_what_is_neither_a_function_nor_a_bar_is_refused():
    with pytest.raises(kofn.ArgumentError, match="'progress' must be one of 'bar', but got 'line'"):
        kofn.Options(progress="line")
    with pytest.raises(kofn.ArgumentError, match="'progress' must be callable, but got True; write 'bar' for a bar"):
        kofn.Options(progress=True)


def test_without_tqdm_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    with pytest.raises(kofn.MissingPackage, match=r"needs tqdm; install it with pip install 'kofn\[progress\]'"):
        kofn.Options(progress="bar")
