"""The gallery: verdicts from JSON alone, words for names, marks on what is quick, and what figures cost."""

import dataclasses
import json
import re

import numpy as np
import pytest

from kofn.cli import main
from kofn_studies.figures import FIGURES, Figure, Published, Request, Series
from kofn_studies.figures.costs import cost, costs
from kofn_studies.figures.gallery import page, write_gallery
from kofn_studies.figures.verdicts import JUDGES, skill_of, verdicts
from kofn_studies.figures.words import words


def made(name, series, published=(), title="t"):
    return Figure(name, title, "p", "x", "y", 0, 9, series, tuple(published))


TABLE = made(
    "aicc-table1",
    [
        Series("aicc", ("P1", "P2"), (4.0, 5.7), (0.1, 0.1)),
        Series("aicc-structured", ("P1", "P2"), (4.2, 0.1), (0.1, 0.1)),
        Series("mean-predictor", ("P1", "P2"), (5.0, 5.6), (0.1, 0.1)),
    ],
    [Published("aicc", ("P1", "P2"), (4.64, 5.81), "Table I")],
)


def test_table_i_is_told_with_its_skill():
    one, other = verdicts(TABLE)
    assert (one.published, one.ours, one.better) == ("4.64", "4", "4.2 (AICC from the closed form)")
    assert one.said == "agrees; skill 0.2 ± 0.03" and other.said.endswith("it predicts the mean")
    share, error = 4.0 / 5.0, np.hypot(0.1 / 5, 4.0 * 0.1 / 25)  # the rule for quotients, written out
    assert skill_of(4.0, 0.1, 5.0, 0.1) == pytest.approx((1 - share, error))


def test_a_statement_holds_by_two_standard_errors_or_it_does_not():
    def said(first, second, err):
        names = ("ew-rxc@1", "uncoded-rxc@1", "kronecker-rescaled-rxc@1")
        values = zip(names, (first, second, 0.9), strict=True)
        return verdicts(made("uep-fig13", [Series(name, [1], [y], [err]) for name, y in values]))[0].said

    assert [said(0.8, 0.7, 0.01), said(0.7, 0.8, 0.01), said(0.8, 0.79, 0.01)] == [
        "holds", "does not hold", "no difference"
    ]  # fmt: skip


def test_a_tail_is_told_by_its_mean():
    """Exponential tails of mean 2, 1 and 0.5, from a first place on where all are still above."""
    at = np.concatenate([[1e-9], np.linspace(0.01, 40, 4000)])
    tails = {name: np.exp(-at / mean) for name, mean in (("lt", 2.0), ("sr-1000", 1.0), ("hint", 0.5))}
    (found,) = verdicts(made("sr-fig2a", [Series(name, at, y) for name, y in tails.items()]))
    assert (found.ours, found.better, found.said) == ("2, 1", "0.5 (one hint a worker)", "far behind")


def test_closed_forms_have_the_verdicts_of_the_paper():
    """Fig. 10 by its closed forms: MDS loses everything until nine packets."""
    figure = FIGURES["uep-fig10"].figure(Request(2))
    assert [(v.published, v.ours, v.said) for v in verdicts(figure)] == [("1", "1", "agrees"), ("0", "0", "agrees")]
    assert "Kronecker" in verdicts(figure)[0].better
    assert all(len(verdicts(FIGURES[name].figure(Request(2)))) > 0 for name in ("uep-fig8", "uep-fig9", "uep-fig11"))


def test_every_judge_is_of_a_figure_and_bears_a_figure_that_lacks_everything():
    assert set(JUDGES) <= set(FIGURES)
    for name in JUDGES:
        assert verdicts(made(name, [])) == []


def test_quick_figures_are_marked_and_not_judged(tmp_path):
    pytest.importorskip("matplotlib")
    quick = dataclasses.replace(TABLE, title="t (quick: 2 trials)")
    assert quick.is_quick and not TABLE.is_quick and verdicts(quick) == []
    assert "A quick run" in page([quick]) and "A quick run" not in page([TABLE])
    marked, plain = (
        [text.get_text() for text in FIGURES["aicc-table1"].draw(figure).texts] for figure in (quick, TABLE)
    )
    assert "QUICK RUN" in marked and "QUICK RUN" not in plain
    figure = FIGURES["sr-fig2b"].figure(Request(3, quick=True))
    assert figure.is_quick and "(quick: 3 trials)" in figure.title


def test_the_page_has_every_figure_of_the_folder_and_survives_what_is_none(tmp_path):
    (tmp_path / "aicc-table1.json").write_text(json.dumps(TABLE.json))
    (tmp_path / "uep-fig8.json").write_text('{"id": "cut sho')
    text = write_gallery(str(tmp_path)).read_text(encoding="utf-8")
    assert '<img src="aicc-table1.png"' in text and "uep-fig8" not in text
    assert text.count("4.2 (AICC from the closed form)") == 2  # in the table of all, and beside its picture
    assert text.count("<table>") == text.count("</table>") == 2
    assert page([dataclasses.replace(TABLE, title="a < b")]).count("a &lt; b") == 3


def test_names_are_told_in_words():
    assert words("now-class2-mc") == "NOW, class 2, sampled"
    assert words("load-balancing-rxc") == "load-balancing bound, row × column"
    assert words("sr-3-decode") == "sum recovery, 3 terms a row, decode"
    assert words("layer-2") == "layer 2" and words("weights-2-fit") == "weights, layer 2, fit"
    assert words("no-straggler-train@2") == "no stragglers, mini-batches, T = 2"


def test_the_list_tells_what_figures_cost(capsys):
    assert set(costs()["quick"]) == set(FIGURES) >= set(costs().get("full", {}))
    assert main(["figure", "--list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name in FIGURES:
        assert cost(name) in lines[name] and re.search(r"quick \d+ (s|min) \d+ MB", cost(name))
