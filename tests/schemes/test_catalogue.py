"""The catalogue speaks of every code, says what the codes do, and cites what it names."""

import re

import numpy as np
import pytest

import kofn.schemes
from kofn.errors import ArgumentError
from kofn.schemes.catalogue import FAMILIES, HEADINGS, OTHERS, PAPERS, bibtex

ENTRIES = [entry for family in FAMILIES for entry in family.entries]


def test_it_lists_every_builder_once_and_nothing_else():
    for family in FAMILIES:
        assert [entry.name for entry in family.entries] == list(family.builders)
    tables = [kofn.schemes.PRODUCTS, kofn.schemes.SUMS, kofn.schemes.FUNCTIONS]
    assert [family.builders for family in FAMILIES] == tables


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_row_of_the_table_has_every_column(entry):
    assert len(entry.row) == len(HEADINGS)
    assert all(entry.row[:-1])


@pytest.mark.parametrize(
    ("name", "blocks", "threshold"),
    [
        ("uncoded", (2, 3), 6),
        ("repetition", (2, 3), 12 - (2 - 1)),
        ("mds", (6, 1), 6),
        ("mds-chebyshev", (6, 1), 6),
        ("mds-low-weight", (6, 1), 6),
        ("polynomial", (2, 3), 6),
        ("entangled-polynomial", (2, 2), 2 * 2 * 2 + 2 - 1),
        ("entangled-polynomial", (2, 1), 3 * 2 * 1 + 3 - 1),
        ("matdot", (3, 3), 2 * 3 - 1),
        ("matdot-approximate", (3, 3), 2 * 3 - 1),
        ("kronecker", (2, 3), 6),
    ],
)
def test_thresholds_and_loads_are_those_of_the_codes(name, blocks, threshold):
    rows = None if name == "uncoded" else 12
    code = kofn.schemes.PRODUCTS[name](np.eye(12), np.eye(12), blocks=blocks, rows=rows, rng=0).code
    assert code.threshold == threshold
    assert np.all(code.load == float(next(entry.load for entry in ENTRIES if entry.name == name)))


def test_every_paper_is_cited_by_somebody_and_every_citation_is_a_paper():
    cited = {key for entry in ENTRIES for key in entry.papers} | {key for keys in OTHERS.values() for key in keys}
    assert cited == set(PAPERS)


@pytest.mark.parametrize("key", list(PAPERS))
def test_bibtex_entries_are_well_formed(key):
    text = PAPERS[key].bibtex
    assert re.match(rf"@(article|inproceedings|software)\{{{key},\n", text)
    assert text.count("{") == text.count("}") and text.endswith("\n}")
    assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) +=", text, re.MULTILINE))


def test_a_code_with_several_papers_gives_several_entries():
    assert bibtex("polynomial").count("@") == 2
    assert "1514--1529" in bibtex("mds")


def test_a_code_without_a_paper_cites_kofn():
    assert bibtex("uncoded") == bibtex("kofn")


def test_learned_codes_have_their_paper():
    assert "A Learning-Based Approach to Approximate Coded Computation" in bibtex("aicc")


def test_an_unknown_name_gets_a_sentence():
    with pytest.raises(ArgumentError, match=r"'NAME' must be one of 'uncoded', .*'kofn', but got 'mdz'; see"):
        bibtex("mdz")
