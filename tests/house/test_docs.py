"""The pages are true: their code runs, their links lead somewhere, and they name everything public."""

import re
from pathlib import Path

import pytest

import kofn
from kofn.cli._parser import EXIT_CODES, commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))


NOT_HERE = re.compile(r"^# .*(not run here|before)")
"""First line of a block that needs what is not on every machine, or that shows what it is not to be like."""


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def named(page):
    return page.relative_to(ROOT).as_posix()


LONG = {"docs/training-tutorial.md", "docs/approximate.md", "docs/functions.md", "docs/cluster.md", "docs/tutorial.md"}
"""Pages whose code takes several seconds."""


def runs(page):
    return pytest.param(page, id=named(page), marks=[pytest.mark.slow] if named(page) in LONG else [])


@pytest.mark.parametrize("page", [runs(page) for page in PAGES if blocks(page)])
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    for number, block in enumerate(blocks(page)):
        code = compile(block, f"{named(page)}, block {number}", "exec")
        if not NOT_HERE.match(block):
            exec(code, names)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


PAPERS = re.compile(r"\b(Figs?|Secs?|Table|Theorem|eqs?)\.? ?[IVX\d(]|\b[Pp]aper's\b|as published *\|.*\d")
"""What a paper says, which belongs into the laboratory."""


def guides():
    """The pages of guides, and those with which one starts."""
    listed = (ROOT / "docs" / "guides.md").read_text(encoding="utf-8").split("```{toctree}")[1].split()
    return [*(ROOT / "docs" / f"{name}.md" for name in listed[1:-1]), *sorted(ROOT.glob("docs/start/*.md"))]


def test_guides_are_free_of_numbers_from_papers():
    assert len(guides()) > 15
    told = {named(page): PAPERS.search(page.read_text(encoding="utf-8")) for page in guides()}
    assert not {name: found[0] for name, found in told.items() if found}
    laboratory = (ROOT / "docs" / "uep.md").read_text(encoding="utf-8")
    assert PAPERS.search(laboratory)  # it would have been found


def test_exit_codes_are_told_as_in_the_help():
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    codes = re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == codes == ["0", "1", "2", "130", "143"]


def test_the_reference_names_everything_public_and_nothing_else():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {*kofn.__all__, "map", "sum"}


def test_the_readme_opens_with_two_sentences_and_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = text.split("```")[1]
    assert re.findall(r"^make \w+", opening, re.MULTILINE) == ["make demo", "make test"]
    assert all(f"kofn {name}" in text for name in commands())
