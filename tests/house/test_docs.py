"""The pages are true: their code runs, their links lead somewhere, and they name everything public."""

import re
from pathlib import Path

import pytest

import kofn
from kofn.cli._parser import commands

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


def test_the_reference_names_everything_public_and_nothing_else():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {*kofn.__all__, "map", "sum"}


def test_the_readme_opens_with_two_sentences_and_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = text.split("```")[1]
    assert re.findall(r"^make \w+", opening, re.MULTILINE) == ["make demo", "make test"]
    assert all(f"kofn {name}" in text for name in commands())
