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
        names = ("ew-cxr@1", "uncoded-cxr@1", "kronecker-rescaled-cxr@1")
        values = zip(names, (first, second, 0.9), strict=True)
        return verdicts(made("uep-fig14", [Series(name, [1], [y], [err]) for name, y in values]))[0].said

    assert [said(0.8, 0.7, 0.01), said(0.7, 0.8, 0.01), said(0.8, 0.79, 0.01)] == [
        "holds", "does not hold", "no difference"
    ]  # fmt: skip


def test_what_the_paper_says_of_fig_13_is_that_ew_is_hardly_better():
    """Sec. VII-C, on CIFAR-10: in Fig. 13, at this deadline, no substantial improvement over uncoded transmission."""

    def told(*values):
        names = ("ew-rxc@1", "uncoded-rxc@1")
        return verdicts(
            made("uep-fig13", [Series(name, [1], [y], [0.01]) for name, y in zip(names, values, strict=True)])
        )

    assert [one.published for one in told(0.8, 0.7)] == ["not substantially"]
    assert [told(*y)[0].said for y in ((0.8, 0.7), (0.7, 0.8), (0.8, 0.79))] == [
        "better by 0.1", "worse by 0.1", "no difference"
    ]  # fmt: skip


def test_numbers_after_all_of_the_papers_epochs_are_compared():
    """Fig. 1 on a GPU: 120 epochs, as in the paper."""
    paper = [Published("uncoded-rxc-train", (120,), (0.9,), "Sec. VII-C")]
    said = [
        verdicts(made("uep-fig1", [Series("uncoded-rxc-train", (31, epochs), (0.5, y))], paper))[0].said
        for epochs, y in ((40, 0.88), (120, 0.88), (120, 0.6))
    ]
    assert said == ["fewer epochs", "agrees", "lower"]


def test_what_is_computed_on_other_data_is_not_judged():
    """Numbers of MNIST say nothing about scikit-learn's digits."""
    table = [Series("layer-1", ("gradients",), (50.0,))], [Published("layer-1", ("gradients",), (50.09,), "Table II")]
    assert verdicts(made("uep-table2", *table, title="t: MNIST"))[0].said == "agrees"
    digits = made("uep-table2", *table, title="t: scikit-learn's digits")
    assert verdicts(digits) == [] and "Nothing is judged" in page([digits]) and "agrees" not in page([digits])


def test_the_bound_is_called_loose_by_what_it_is():
    def said(factor):
        rows = [Series(f"now-cxr{end}", (0, 1), (y, y)) for end, y in (("", 0.5), ("-bound", 0.5 * factor))]
        return verdicts(made("uep-fig11", rows))[0].said

    assert [said(factor) for factor in (9, 4, 0.5)] == ["loose by M", "loose", "is no bound"]


def test_growth_is_told_between_places_that_both_have():
    """AICC is timed up to smaller matrices than f itself where it takes too much memory."""
    rows = [
        Series("numpy", (50, 100, 200), (1.0, 3.0, 20.0), (0.01, 0.03, 0.2)),
        Series("aicc", (50, 100), (1.0, 6.0), (0.01, 0.06)),
    ]
    grows, pair = verdicts(made("aicc-fig5", rows))
    assert (grows.published, grows.said) == ("yes", "does not hold") and "x from 50 to 100" in grows.what
    assert "3 times (f itself, NumPy and SciPy), 6 times" in grows.ours
    assert (pair.ours, pair.said) == ("6 (AICC, random start)", "0.5 times")


def test_the_mean_of_f_goes_the_same_way():
    rows = [Series("aicc-p1", (50, 200), (5.0, 1.5)), Series("mean-predictor-p1", (50, 200, 400), (5.2, 1.56, 0.9))]
    (told,) = verdicts(made("aicc-fig4", rows))
    assert (told.published, told.ours, told.said) == ("falls", "5 to 1.5", "0.3 times; the mean of f: 0.3 times")


def test_liars_that_no_run_bears_are_not_told_to_be_borne():
    def told(right, wrong):
        rows = [Series(f"keyed-{end}", range(8), y) for end, y in (("right", right), ("wrong", wrong))]
        (found,) = verdicts(made("own-liars", rows))
        return found.ours, found.said

    none = [0.0] * 8
    assert told([0.9] + [1.0] * 7, none) == ("not even without liars", "no answer is wrong")
    assert told([1.0] * 8, none)[0] == "7 of 12 workers"
    assert told([1.0, 1.0, 0.9, 1.0] + [0.0] * 4, [0.0] * 5 + [0.1] * 3) == ("1 of 12 workers", "wrong from 5 on")
    assert told([1.0] * 6 + [0.0] * 2, [0.0] * 7 + [1.0])[1] == "wrong from 7 on, where liars are the majority"


def test_a_policy_that_never_ends_somewhere_has_not_won_there():
    kinds = ("noise", "dead-worker")
    rows = [Series(f"{name}-p99", kinds, (1.0, 2.0)) for name in ("spark-3.5", "auto-p99")]
    rows += [Series(f"{name}-quiet", (1, 2), (1.0, 1.0)) for name in ("plain", "coded")]
    found = verdicts(made("own-policies", [*rows, Series("coded-p99", kinds[:1], (1.0,))]))
    assert [one.ours for one in found[1:]] == ["1 of 2 kinds of delay", "2 of 2 kinds of delay"]
    assert [one.said for one in found[1:]] == ["does not hold", "holds"]


def test_a_count_that_is_never_below_a_thousand_has_no_mean_below_it():
    """Every run needs 1000 symbols at least, and the tail is looked at every 20."""
    at = np.arange(600, 2001, 20)
    tails = {"lt-symbols": at < 1500, "sr-symbols": at < 1000, "cover": at < 800}
    (found,) = verdicts(made("sr-fig2c", [Series(name, at, y.astype(float)) for name, y in tails.items()]))
    assert (found.ours, found.better) == ("1500, 1000", "800 (all terms are covered)")


def test_of_what_a_paper_leaves_to_its_appendix_nothing_is_published():
    at = (1.0, 2.0, 3.0)
    rows = [Series(name, at, (1.0, y, 0.0)) for name, y in (("lt", 0.6), ("sr-1000", 0.5), ("hint", 0.1))]
    assert [verdicts(made(name, rows))[0].published for name in ("sr-fig2a", "sr-pareto")] == ["yes", ""]


def test_tables_tell_names_in_words_and_how_sure_they_are():
    pytest.importorskip("matplotlib")
    rows = [Series("layer-1", ("gradients", "weights", "inputs"), (31.6, 0.12, 81.4), (0.5, 0.01, 0.2))]
    paper = [Published("layer-1", ("gradients", "weights"), (50.09, 0.15), "Table II")]

    def cells(figure):
        (table,) = FIGURES[figure.id].draw(figure).axes[0].tables
        return {cell.get_text().get_text() for cell in table.get_celld().values()}

    assert {"layer 1", "31.60 ± 0.50 (50.09)", "81.40 ± 0.20"} <= cells(made("uep-table2", rows, paper))
    assert "published: AICC, random start, M = 50" in cells(TABLE)


@pytest.mark.parametrize("name", ["uep-table2", "aicc-table1", "sr-fig2c"])
def test_a_title_is_not_cut_off(name):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    title = "Accuracy of what mammoths multiply when workers are late, in percent, on data of their own " * 2
    rows = [Series("layer-1", ("gradients", "weights", "inputs"), (31.6, 0.12, 81.4), (0.5, 0.01, 0.2))]
    paper = [Published("layer-1", ("gradients",), (50.09,), "Table II")]
    figure = TABLE if name == "aicc-table1" else made(name, rows, paper)
    if name == "sr-fig2c":
        figure = made(name, [Series("cover", (1, 2), (1.0, 0.1), (0.1, 0.1))])
    canvas = FigureCanvasAgg(FIGURES[name].draw(dataclasses.replace(figure, title=title)))
    canvas.draw()
    (head,) = (text for text in canvas.figure.texts if "mammoths" in text.get_text())
    assert canvas.figure.bbox.x0 <= head.get_window_extent().x0
    assert head.get_window_extent().x1 <= canvas.figure.bbox.x1
    assert " ".join(head.get_text().splitlines()[:-1]) == title.strip()


def test_a_layer_has_one_colour_and_the_papers_fit_beside_ours():
    pytest.importorskip("matplotlib")
    names = [(kind, layer) for kind in ("gradients", "weights", "inputs") for layer in (1, 2, 3)]
    rows = [
        series
        for kind, layer in names
        if (kind, layer) != ("inputs", 1)
        for series in (
            Series(f"{kind}-{layer}-fit", ("mean", "variance"), (0.5, 2.0), (0.1, 0.2)),
            Series(f"{kind}-{layer}", (0, 1), (0.3, 0.1), (0.0, 0.0)),
            Series(f"{kind}-{layer}-histogram", (0, 1), (0.3, 0.1), (0.0, 0.0)),
        )
    ]
    paper = [Published("inputs-2-fit", ("mean", "variance"), (-0.24, 2.28), "Fig. 5d")]
    canvas = FIGURES["uep-fig5"].draw(made("uep-fig5", rows, paper))
    of_layer_2 = [line for axes in canvas.axes for line in axes.lines if line.get_label().startswith("layer 2")]
    assert len(of_layer_2) == 3 and len({line.get_color() for line in of_layer_2}) == 1
    assert of_layer_2[2].get_label().splitlines() == [
        "layer 2: N(5.0e-01 ± 1e-01, 2.0e+00 ± 2e-01)", "paper: N(-2.4e-01, 2.3e+00)"
    ]  # fmt: skip
    assert canvas.axes[0].get_ylabel() == "y"


def test_the_page_says_what_computes_a_figure_again():
    """With the seed and the number of trials, where these are not the usual ones."""

    def command(name, trials, seed, title="t"):
        text = page([dataclasses.replace(made(name, [], title=title), trials=trials, seed=seed)])
        return re.search(r"<code>kofn figure (.*?)</code>", text)[1]

    assert command("sr-fig2a", 200, 0) == "sr-fig2a --out DIR"
    assert command("sr-fig2a", 300, 4) == "sr-fig2a --out DIR --trials 300 --seed 4"
    assert command("sr-fig2a", 10, 1, "t (quick: 10 trials)") == "sr-fig2a --out DIR --seed 1 --quick"
    assert command("own-traffic", 1, 0) == "own-traffic --out DIR"
    assert command("uep-fig13", 5, 2, "t: MNIST") == "uep-fig13 --out DIR --data DATA --seed 2"


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
