"""Public signatures say what they take: `Any` stands there only where no type says it."""

import inspect

import kofn

REASONS = {
    "workers": "whatever engines take, objects of packages without types among them",
    "A": "any matrix: of NumPy, SciPy, Dask, Zarr, files, lists",
    "B": "any matrix",
    "operand": "what a template lacks: any matrix, or any input",
    "out": "any array that can be written, or a path",
    "generator": "a dense or sparse matrix",
    "f": "any function, or a fitted code, which is none",
    "terms": "functions, or one over indices",
    "data": "any values, or references to them",
    "x": "any input of the user's functions",
    "inputs": "any inputs of the user's function",
    "iterables": "of anything; the words say so",
    "energies": "whatever makes an array",
    "times": "whatever makes an array",
    "code": "whatever can be simulated",
    "estimate": "an Answer, which stands on a floor above",
    "recovered": "an array, or a dictionary of them",
    "result": "what a task returned",
    "axes": "of Matplotlib, which need not be there",
    "keywords": "options of jobs, which `imap` refuses in a sentence",
    "later": "what later versions of Python add",
}
"""Parameters, and returns by their function, of which nothing more can be said."""

RETURNS = {
    "Answer.where": "indices of as many axes as the value has",
    "ClusterArray.to_dask": "an array of Dask, which need not be there",
    "Report.plot": "axes of Matplotlib",
    "Scheme.check": "what a task returned",
    "Scheme.answer": "the value, of any type",
    "Scheme.assemble": "the value, of any type",
}


def functions():
    """Every public function, constructor and method, by its name."""
    for name in [*kofn.__all__, "map", "sum"]:
        thing = getattr(kofn, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for inner, method in vars(thing).items():
                if inspect.isfunction(method) and (not inner.startswith("_") or inner in ("__init__", "__call__")):
                    yield f"{name}.{inner}", method


def bare():
    for name, function in functions():
        for parameter, said in inspect.unwrap(function).__annotations__.items():
            if said == "Any":
                yield name, parameter


def test_any_stands_only_where_no_type_says_more():
    found = list(bare())
    assert len(list(functions())) > 100
    unexplained = [f"{name}: {what}" for name, what in found if what not in REASONS and what != "return"]
    assert not unexplained
    assert {name for name, what in found if what == "return"} == RETURNS.keys()
    assert {what for _, what in found} == {"return", *REASONS}
