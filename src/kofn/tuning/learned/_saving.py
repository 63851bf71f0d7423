"""Learned codes in files: numbers in safetensors, everything else in JSON, never a pickle.

The safetensors file holds what the JSON says as well, so that one that was changed or is of another code is known.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np

from ..._base._entries import entries, load_entry
from ..._base._numbers import Floats
from ...arrays._npy import replacing
from ...checks import integer, refusal
from ...codes._prior import Prior
from ...errors import FileError, KofnError, MissingPackage, require
from ._code import LearnedCode, Nodes
from ._computation import Term
from ._encoder import Encoder

FORMAT = "kofn learned code 1"
SUFFIX = ".safetensors"

GROUP = "kofn.encoders"
"""Entry points that add kinds of encoders: each a class with the members of `Encoder`, named by its kind."""

OWN = {"linear": "_encoder:Linear"}


def encoder_kinds() -> dict[str, EntryPoint]:
    """Where every kind of encoder is that a file may name: the linear one, and those that entry points add.

    Examples
    --------
    >>> encoder_kinds()["linear"].load().kind
    'linear'
    """
    return entries(GROUP, str(__package__), OWN)


def save_code(code: LearnedCode, path: str | os.PathLike[str]) -> None:
    """Write ``NAME.safetensors`` and ``NAME.json``, each whole or not at all.

    Parameters
    ----------
    code : LearnedCode
    path : path
        That of the safetensors file, with this ending.

    Raises
    ------
    FileError
        The place cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from kofn.tuning.learned import structured_code
    >>> X = np.random.default_rng(0).standard_normal((40, 2, 3, 3))
    >>> code = structured_code(X, X @ X, recover=3, rows=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_code(code, f"{folder}/squares.safetensors")
    ...     again = load_code(f"{folder}/squares.safetensors")
    >>> again.terms[0].weight == code.terms[0].weight
    np.True_
    """
    with require("a file of a learned code", "safetensors"):
        from safetensors.numpy import save

    name = _path_of(path)
    tensors = {"betas": code.nodes.betas, "alphas": code.nodes.alphas, "mean": code.mean, "factor": code.prior.factor}
    tensors |= {"known": code.prior.known} if code.prior.known is not None else {}
    tensors |= {f"term.{number}": np.asarray(term.weight) for number, term in enumerate(code.terms)}
    kept, own = code.encoder.parts()
    tensors |= {f"encoder.{key}": value for key, value in own.items()}
    tensors = {key: np.array(value, order="C") for key, value in tensors.items()}
    header = {
        "format": FORMAT,
        "name": code.name,
        "size": code.size,
        "shape": list(code.shape),
        "terms": [[term.power, term.feature] for term in code.terms],
        "encoder": {"kind": code.encoder.kind, **kept},
        "tensors": {key: [str(value.dtype), list(value.shape)] for key, value in tensors.items()},
    }
    with replacing(name, "path") as file:
        file.write(save(tensors, metadata={"kofn": json.dumps(header)}))
    with replacing(name.with_suffix(".json"), "path") as file:
        file.write((json.dumps(header, indent=1) + "\n").encode())


def load_code(path: str | os.PathLike[str]) -> LearnedCode:
    """Read what `save_code` wrote; the code gives the same output to the last bit on the same machine's CPU.

    Raises
    ------
    FileError
        A file is missing or cut short, or the two do not speak of the same numbers.
    """
    name = _path_of(path)
    header = _read_json(name.with_suffix(".json"))
    tensors = _read_tensors(name, header)
    try:
        nodes = Nodes(tensors["betas"], tensors["alphas"])
        terms = [Term(p, feature, tensors[f"term.{number}"]) for number, (p, feature) in enumerate(header["terms"])]
        encoder = _encoder(header["encoder"], {k[8:]: v for k, v in tensors.items() if k.startswith("encoder.")}, nodes)
        prior = Prior(tensors["factor"], known=tensors.get("known"))
        integer("kofn.tuning.learned", "size", header["size"], 1, "it is the number of rows of an input")
        title, shape = header["name"], tuple(header["shape"])
        if not isinstance(title, str):
            raise TypeError(f"a name is a text, not {title!r}")
        code = LearnedCode(title, nodes, encoder, terms, header["size"], shape, tensors["mean"], prior)
        code.evaluations(np.zeros((code.inputs, code.size, code.size))).arguments.of_rows()
        code.work(np.zeros((code.size, code.size)), np.zeros(int(np.prod(code.shape))))
    except MissingPackage:
        raise
    except (KofnError, LookupError, TypeError, ValueError, RuntimeError, AttributeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(": ")
        raise _file_error("describe a code that fits together", f"{name.stem}.json ({reason})") from None
    return code


def _encoder(header: dict[str, Any], tensors: dict[str, Floats], nodes: Nodes) -> Encoder:
    kinds = encoder_kinds()
    if header["kind"] not in kinds:
        raise ValueError(f"its encoder is of the kind {header['kind']!r}, and here are {', '.join(sorted(kinds))}")
    kind: type[Encoder] = load_entry(kinds[header["kind"]], f"a learned code with an encoder of {header['kind']}")
    return kind.from_parts(header, tensors, nodes)


def _read_json(name: Path) -> dict[str, Any]:
    try:
        header = json.loads(name.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _file_error("be a JSON file that can be read", f"{name} ({error})") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT or not isinstance(header.get("tensors"), dict):
        raise _file_error(f"say that it is a {FORMAT!r}", name)
    return header


def _read_tensors(name: Path, header: dict[str, Any]) -> dict[str, Floats]:
    with require("a file of a learned code", "safetensors"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(name, framework="np") as file:
            tensors: dict[str, Floats] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            described = json.loads((file.metadata() or {}).get("kofn", "{}"))
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise _file_error("be a whole safetensors file", f"{name} ({error})") from None
    found = {key: [str(value.dtype), list(value.shape)] for key, value in tensors.items()}
    for key in sorted(found.keys() | header["tensors"].keys()):
        if found.get(key) != header["tensors"].get(key):
            must = f"hold the tensor {key!r} as {name.stem}.json says, {header['tensors'].get(key)}"
            raise _file_error(must, f"{name} with {found.get(key)}")
        if not np.isfinite(tensors[key]).all():
            raise _file_error(f"hold finite numbers in the tensor {key!r}", f"{name} with NaN or inf")
    if described != header:
        raise _file_error(f"be described by the {name.stem}.json that was saved with it", "another one")
    return tensors


def _path_of(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or Path(path).suffix != SUFFIX:
        raise _file_error(f"be the name of a file that ends in {SUFFIX}", path)
    return Path(path)


def _file_error(must: str, got: object) -> FileError:
    return FileError(str(refusal("kofn.tuning.learned", "path", must, got, "save or copy the code again")))
