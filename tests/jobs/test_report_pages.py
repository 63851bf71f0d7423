"""A run as a page, and as a few lines."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import kofn
from kofn.jobs.report import Report
from kofn.jobs.report._attempt import Attempt, Wrong
from kofn.jobs.report._workers import worker_times
from kofn.simulation import VirtualPool

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that every element is closed, in order, and collects attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def drawn(workers, seed=0, tasks=4, outcome="abandoned"):
    """A report of a run in which one worker in fifty is six times slower."""
    rng = np.random.default_rng(seed)
    attempts = []
    for worker in range(workers):
        pace, now = (6.0 if rng.random() < 0.02 else 1.0), 0.0
        for task in range(tasks):
            end = now + pace * (0.5 + rng.exponential(0.1))
            attempts.append(
                Attempt(tasks * worker + task, worker, 1.0, now, min(end, 4.0), "arrived" if end < 4.0 else outcome)
            )
            now = end
            if now > 4.0:
                break
    return Report("mds", workers, attempts, 0.1, 0.01, 4.0, 10**6, placed_bytes=5 * 10**8)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


@pytest.mark.parametrize("workers", [1, 2, 8, 100, 1000])
def test_the_page_is_whole_small_and_needs_no_network(tmp_path, workers):
    report = drawn(workers)
    report.save(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    seen = read(text)
    assert len(text) < 2e6 and "script" not in seen.seen and "://" not in text
    assert not [value for name, value in seen.attributes if name in ("src", "href")]
    pictures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(pictures) == 2 and all(ElementTree.fromstring(p).attrib["aria-label"] for p in pictures)
    figures = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert len(figures["attempts"]) == len(report.attempts)


def test_every_bar_of_a_small_run_lies_where_its_task_was():
    report = drawn(5)
    svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", report._repr_html_(), flags=re.DOTALL)[0])
    bars = [path for path in svg.iter("path") if path.find("title") is not None]
    assert len(bars) == len(report.attempts)
    across = 900.0 / 4.0
    for bar, attempt in zip(bars, report.attempts, strict=True):
        left, _, width = map(float, re.match(r"M([\d.]+) ([\d.]+)h([\d.]+)", bar.attrib["d"]).groups())
        assert abs(left - 56.0 - attempt.submitted * across) < 0.06 and abs(width - attempt.seconds * across) < 0.06
        assert bar.attrib["class"] == attempt.outcome


def test_names_are_text_and_no_markup(tmp_path):
    report = Report("<b>&", 1, [Attempt(0, 0, 1.0, 0.0, 1.0, "arrived")], 0, 0, 1.0, 0, remarks=["a < b & c"])
    assert "<b>" not in report._repr_html_() and "a &lt; b &amp; c" in report._repr_html_()
    report.save(tmp_path / "run.htm")
    read((tmp_path / "run.htm").read_text(encoding="utf-8"))


def test_a_run_in_which_nothing_was_given_out_has_a_page_too():
    assert "No task was given out" in Report("mds", 3, [], 0, 0, 0.0, 0)._repr_html_()


def test_a_wrong_result_of_no_size_is_json_all_the_same(tmp_path):
    report = Report("mds", 1, [Attempt(0, 0, 1.0, 0.0, 1.0, "wrong")], 0, 0, 1.0, 0, wrong=[Wrong(0, 0, np.inf)])
    report.save(tmp_path / "run.html")
    assert json.loads((tmp_path / "run.json").read_text())["wrong"] == [{"row": 0, "worker": 0, "size": None}]


def test_slow_workers_are_told_with_how_slow_they_were():
    pool = VirtualPool([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [9.0, 9.0]])
    A = np.random.default_rng(0).standard_normal((12, 5))
    report = kofn.run(kofn.schemes.uncoded(A, A.T, blocks=(8, 1), workers=4), pool, scheduler="duplicates").report
    (slow,) = [one for one in worker_times(4, report.attempts) if one.is_slow]
    assert slow.worker == 3 and slow.running == 1 and slow.ratio == pytest.approx(report.seconds)
    assert str(slow) in str(report) and "nobody waited for it" in report._repr_html_()


def test_what_is_printed_has_eight_lines_at_most():
    report = drawn(1000)
    many = Report(**{**vars(report), "remarks": [f"remark {i}" for i in range(20)], "choice": "took mds"})
    assert len(str(many).splitlines()) == 8 and "took mds" in str(many) and "see details()" in str(many)
    assert len(str(report).splitlines()) <= 8
    assert len(report.details().splitlines()) == 1 + len(report.attempts)


def test_pages_have_names_that_browsers_know(tmp_path):
    with pytest.raises(kofn.errors.ArgumentError, match=r"'path' must end in \.html, but got 'run\.txt'"):
        drawn(1).save("run.txt")
    with pytest.raises(kofn.errors.FileError, match="cannot be written"):
        drawn(1).save(tmp_path / "none" / "run.html")


def test_a_ratio_to_next_to_nothing_is_told_in_words():
    attempts = [Attempt(row, row % 2, 1.0, 0.0, 1e-9, "arrived") for row in range(6)]
    attempts.append(Attempt(9, 3, 1.0, 0.0, 2.5, "abandoned"))
    report = Report("mds", 4, attempts, 0.0, 0.0, 2.5, 0)
    assert "worker 3 took more than 1000 times the usual" in str(report)
    assert "<td>more than 1000</td>" in report._repr_html_()


def test_no_bytes_are_told_of_where_no_arrays_were_sent():
    report = Report("duplicates", 2, [Attempt(0, 0, 1.0, 0.0, 0.5, "arrived")], 0.0, 0.0, 0.5, 0)
    assert "; no arrays sent; " in report.spent
    assert "; arrays: 1.0 kB out, 8 B in; " in replace(report, sent_bytes=1000, received_bytes=8).spent


def test_the_error_of_the_estimate_is_drawn_where_the_run_had_any(tmp_path):
    pool = VirtualPool([[1.0], [2.0], [3.0], [4.0]])
    A, B = np.random.default_rng(0).standard_normal((2, 60, 60))
    scheme = kofn.schemes.kronecker(A, B, blocks=(3, 1), workers=4, rng=0)
    heard = []
    report = kofn.run(scheme, workers=pool, progress=heard.append).report
    assert [(one.time, one.error) for one in report.estimates] == [(now.time, now.error) for now in heard]
    assert [one.count for one in report.estimates] == [1, 2, 3] and report.estimates[-1].exact
    page = report._repr_html_()
    assert "Error of the estimate over time" in page and "exact after 3 seconds" in page
    curve = re.search(r'<path class="curve" d="M[^"]*"', page[page.index("Error of the estimate") :])[0]
    heights = [float(one) for one in re.findall(r"V([\d.]+)", curve)]
    assert heights == sorted(heights) and heights[-1] == pytest.approx(156.0)  # it falls to the line of what is exact
    report.save(tmp_path / "run.html")
    kept = json.loads((tmp_path / "run.json").read_text())["estimates"]
    assert [one["error"] for one in kept] == [one.error for one in heard]


def test_where_nobody_looked_no_error_is_drawn():
    pool = VirtualPool([[1.0], [2.0], [3.0]])
    report = kofn.run(
        kofn.schemes.mds(np.eye(6), np.eye(6), rows=3, workers=3, blocks=(2, 1), rng=0), workers=pool
    ).report
    assert "Error of the estimate" not in report._repr_html_()
