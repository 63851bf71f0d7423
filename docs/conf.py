"""The site: pages in Markdown, and a reference from the docstrings. ``make docs`` builds it, without a network."""

import importlib
import inspect
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import options_table

project = "kofn"
author = "the authors of kofn"
version = release = version_of("kofn")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
default_role = "code"
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # numpydoc's sections say it in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the members are documented below
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "kofn"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True, "show_toc_level": 2, "header_links_before_dropdown": 6}

MODULES = {
    "kofn": "Calls, options, pools and answers",
    "kofn.schemes": "Codes with something to run: builders, and what they make",
    "kofn.codes": "The mathematics: rows, targets, decoding",
    "kofn.jobs.scheduling": "Who is given which row",
    "kofn.jobs.report": "What happened in a run",
    "kofn.engines": "What runs tasks",
    "kofn.simulation": "When would it be done",
    "kofn.arrays": "Matrices that need not fit into memory",
    "kofn.tuning.products": "Codes designed for products",
    "kofn.tuning.learned": "Codes that are learned",
    "kofn.testing": "Batteries of checks for codes and engines of your own",
    "kofn.testing.chaos": "Seeded jobs under faults",
    "kofn.testing.faults": "Wrong workers to test with",
    "kofn.checks": "One sentence for a bad argument",
    "kofn.errors": "Exceptions",
    "kofn.sklearn": "Ensembles of scikit-learn",
    "kofn.joblib": "A backend for joblib",
    "kofn.torch": "Training with PyTorch",
    "kofn.cli": "The command, and subcommands of your own",
}


HIDDEN = {"kofn": ("map", "sum")}
"""Names that ``from kofn import *`` leaves alone, as Python has them, too."""


def public_names(module: str) -> dict[str, object]:
    """What a module offers, by name: ``__all__``, or what is defined there and has no underscore."""
    loaded = importlib.import_module(module)
    names = [*getattr(loaded, "__all__", ()), *HIDDEN.get(module, ())]
    found = {name: getattr(loaded, name) for name in names or dir(loaded) if not name.startswith("_")}
    within = "kofn" if names else module
    return {name: value for name, value in found.items() if _is_defined(value, within)}


def _is_defined(value: object, within: str) -> bool:
    return not inspect.ismodule(value) and getattr(value, "__module__", "").startswith(within)


def write_reference() -> None:
    """One page a module, which lists its public names; their own pages are made from the docstrings."""
    folder = Path(__file__).parent / "reference"
    folder.mkdir(exist_ok=True)
    homes: dict[int, str] = {}  # what several modules offer is described once, where it comes first
    for module, about in MODULES.items():
        paths = [homes.setdefault(id(value), f"{module}.{name}") for name, value in public_names(module).items()]
        names = "\n".join(f"   ~{path}" for path in paths)
        lists = f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{names}\n"
        title = f"{module}\n{'=' * len(module)}\n\n{about}.\n\n"
        write(folder / f"{module}.rst", title + lists)
    for page in (folder / "generated").glob("*.rst"):
        if page.stem not in homes.values():  # of a name that is no longer there
            page.unlink()
    write(folder / "options.rst", options_table.page())
    pages = "\n".join(f"   {module}" for module in MODULES)
    told = ":doc:`Names by what they are for </api>` tells them in a line each."
    index = f"Reference\n=========\n\n{told}\n\n.. toctree::\n\n   /api\n   options\n   /glossary\n{pages}\n"
    write(folder / "index.rst", index)


def write(page: Path, text: str) -> None:
    """Write a page, unless it is there: what is not newer is not built again."""
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


write_reference()  # before the pages are looked for
