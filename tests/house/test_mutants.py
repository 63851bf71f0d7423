"""The mistakes of tools/mutants still fit the source, and what is drawn beside them is what the page says."""

import ast
import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = ROOT / "tools" / "mutants"
PLANTED = tomllib.loads((MUTANTS / "planted.toml").read_text(encoding="utf-8"))["planted"]


@pytest.fixture(scope="module")
def mutations():
    spec = importlib.util.spec_from_file_location("kofn_mutations", MUTANTS / "mutations.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mistake", PLANTED, ids=lambda mistake: mistake["name"])
def test_a_planted_mistake_fits_the_source(mistake):
    source = (ROOT / "src" / "kofn" / mistake["file"]).read_text(encoding="utf-8")
    assert source.count(mistake["old"]) == 1
    broken = source.replace(mistake["old"], mistake["new"])
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))


SOURCE = '''
def f(a: int | None, b: int = 3) -> bool:
    """Not this: 1 < 2."""
    while not a:
        if a < b and b is not None:
            break
        a += 1
    return (a) == f(b)
'''

EXPECTED = [
    ("b: int = 3", "b: int = 4"),
    ("not a", " a"),
    ("if a < b and b is not None:\n            break", "pass"),
    ("and", "or"),
    ("<", "<="),
    ("is not", "is"),
    ("break", "continue"),
    ("a += 1", "pass"),
    ("+= 1", "+= 2"),
    ("+=", "-="),
    ("return (a) == f(b)", "return not ((a) == f(b))"),
    ("==", "!="),
]


def test_every_place_of_a_text_is_found(mutations):
    places = list(mutations.places_of("f.py", SOURCE.encode()))
    made = {SOURCE[: place.start] + place.instead[0] + SOURCE[place.end :] for place in places}
    expected = {SOURCE.replace(old, new) for old, new in EXPECTED if SOURCE.count(old) == 1}
    expected.add(SOURCE.replace("if a < b", "if a <= b"))
    assert made == expected and len(places) == len(EXPECTED)


def test_a_seed_draws_the_same_mutants_again(mutations):
    one, again, other = (mutations.draw({"f.py": SOURCE.encode()}, 5, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert all(ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(SOURCE)) for mutant in [*one, *other])


def test_the_page_tells_of_every_planted_mistake():
    verdicts = json.loads((MUTANTS / "verdicts.json").read_text(encoding="utf-8"))
    assert {one["name"] for one in PLANTED} <= {one["name"] for one in verdicts}
    page = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
    assert all(mistake["broken"] in page for mistake in PLANTED)
