"""Names of series in words, for legends: the name itself says no more than its parts do."""

from __future__ import annotations

WHOLE = {
    "no-straggler": "no stragglers",
    "aicc": "AICC, random start",
    "aicc-structured": "AICC from the closed form",
    "lagrange-fit": "closed form",
    "mean-predictor": "mean of f",
    "first-order": "first order, uncoded",
    "lt": "LT, c = 0.03",
    "lt-tuned": "LT, c = 0.1",
    "sr": "sum recovery",
    "sr-3": "sum recovery, 3 terms a row",
    "sr-1000": "sum recovery",
    "sr-400": "sum recovery, 400 terms a worker",
    "sr-100": "sum recovery, 100 terms a worker",
    "sr-symbols": "sum recovery",
    "lt-symbols": "LT",
    "cover": "all terms are covered",
    "cyclic": "cyclic blocks",
    "hint": "one hint a worker",
    "bound": "load-balancing bound",
    "load-balancing": "load-balancing bound",
    "one": "one worker does all",
    "unc": "uncoded",
    "rep": "repetition",
    "bcc": "batched coupons",
    "numpy": "f itself, NumPy and SciPy",
    "torch": "f itself, PyTorch",
    "berrut": "Berrut, f at the workers",
    "matdot": "MatDot",
    "rep2": "two copies",
    "plain": "no backups",
    "spark-3.5": "as Spark 3.5",
    "duplicates": "second copies",
    "coded": "coded backups",
    "mds-6-of-8": "static code, 6 of 8",
    "auto-p99": "chosen by kofn for p99",
    "arrays": "arrays of the client, through it",
    "operator-first": "operator, first product, through the client",
    "operator-next": "operator, each further product, through the client",
    "remote": "Dask arrays, through the client",
    "remote-between": "Dask arrays, from worker to worker",
    "keyed": "wrong products, checked with a key",
    "scaled": "1.5 times what is right",
    "signs": "one wrong sign",
    "colluding": "wrong results that fit together",
}
"""Names and beginnings of names that are one thing."""

PARTS = {
    "now": "NOW",
    "ew": "EW",
    "mds": "MDS",
    "aicc": "AICC",
    "kronecker": "Kronecker",
    "rxc": "row × column",
    "cxr": "column × row",
    "lmmse": "least squares",
    "mc": "sampled",
    "factor": "as encoded factors",
    "window": "as windows",
    "bound": "bound of Theorem 2",
    "designed": "kofn.design",
    "late": "late results",
    "wide": "wide layers",
    "principal": "principal components",
    "train": "mini-batches",
    "layer": "",  # the number says it
    "oracle": "largest blocks known",
    "p50": "median",
    "p99": "99th percentile",
    "quiet": "nothing straggles",
    "free": "messages cost nothing",
    "right": "right answers",
    "refused": "no answer",
    "wrong": "wrong answers",
    "found": "liars found",
    "accused": "honest ones accused",
}
"""What a part means; any other one is a word already."""


def words(name: str) -> str:
    """What a series is, for who does not know the names.

    Examples
    --------
    >>> words("kronecker-rxc-lmmse"), words("aicc-structured-p1"), words("kronecker-rescaled-late-cxr@0.25")
    ('Kronecker, row × column, least squares', 'AICC from the closed form, P1', \
'Kronecker, rescaled, late results, column × row, T = 0.25')
    """
    name, _, deadline = name.partition("@")
    parts = name.split("-")
    known = next(("-".join(parts[:n]) for n in range(len(parts), 0, -1) if "-".join(parts[:n]) in WHOLE), "")
    rest = parts[len(known.split("-")) :] if known else parts
    said = [WHOLE[known]] if known else []
    said += [part.upper() if part in ("p1", "p2", "p3", "p4") else _said(part) for part in rest]
    return ", ".join(filter(None, said)) + (f", T = {deadline}" if deadline else "")


def _said(part: str) -> str:
    if part.isdigit():
        return f"layer {part}"
    return f"class {part[5:]}" if part.startswith("class") else PARTS.get(part, part)
