"""Each public option stands in the one table of the site."""

import inspect
import re
import sys
from pathlib import Path

import pytest

import kofn

pytest.importorskip("numpydoc")
pytest.importorskip("sklearn")
pytest.importorskip("torch")


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
    try:
        import options_table
    finally:
        sys.path.pop(0)
    return options_table


def told(page):
    """Of each row of the table its four cells."""
    return [re.split(r"\n     - ?", row.strip()) for row in page.split("   * - ")[2:]]


def test_every_call_that_takes_workers_is_a_face(table):
    public = {name: getattr(kofn, name) for name in [*kofn.__all__, "map", "sum"]}
    calls = {name: call for name, call in public.items() if inspect.isroutine(call) or name.startswith("Coded")}
    taking = {name for name, call in calls.items() if "workers" in inspect.signature(call).parameters}
    assert taking >= {"matmul", "imap", "design"} and taking - {"simulate"} <= set(table.faces())


def test_each_option_stands_in_the_table_with_what_it_is(table):
    cells = told(table.page())
    named = {(name.strip("`"), face.strip(" `\n")) for name, _, _, faces in cells for face in faces.split(",")}
    for option in kofn.Options.__dataclass_fields__:
        assert (option, "all") in named
    for face, call in table.faces().items():
        for parameter in inspect.signature(call).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert (parameter.name, face) in named or (parameter.name, "all") in named, (face, parameter.name)
    assert all(about.strip() for _, _, about, _ in cells), [name for name, _, about, _ in cells if not about.strip()]
