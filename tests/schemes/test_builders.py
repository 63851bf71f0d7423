"""Builders refuse in their own name, whoever calls them; those who call builders have the last word."""

import numpy as np
import pytest

import kofn
from kofn.schemes.products import from_coefficients

A, B, X = np.eye(4), np.eye(4), [1.0, 2.0]
WRONG = {
    **{
        f"kofn.schemes.{name}": lambda name=name: getattr(kofn.schemes, name)(A, B, workers=0)
        for name in (
            "uncoded",
            "repetition",
            "mds",
            "mds_dense",
            "mds_chebyshev",
            "low_weight",
            "polynomial",
            "entangled",
            "matdot",
            "matdot_approximate",
            "kronecker",
        )
    },
    **{
        f"kofn.schemes.{name}": lambda name=name: getattr(kofn.schemes, name)(A, B, workers=3, weights="none")
        for name in ("now_uep", "ew_uep")
    },
    **{
        f"kofn.schemes.{name}": lambda name=name: getattr(kofn.schemes, name)(0)
        for name in ("one", "rep", "bcc", "cyclic", "ring", "hint", "gradient", "lt", "sr")
    },
    **{
        f"kofn.schemes.{name}": lambda name=name: getattr(kofn.schemes, name)(abs, X, workers=0)
        for name in ("berrut", "letcc", "kriging", "parity")
    },
    "kofn.schemes.lagrange": lambda: kofn.schemes.lagrange(abs, X, degree=0),
    "kofn.schemes.SUMS['uncoded']": lambda: kofn.schemes.SUMS["uncoded"](0),
    "kofn.schemes.FUNCTIONS['uncoded']": lambda: kofn.schemes.FUNCTIONS["uncoded"](abs, X, workers=0),
    "kofn.schemes.FUNCTIONS['repetition']": lambda: kofn.schemes.FUNCTIONS["repetition"](abs, 3),
    "kofn.schemes.products.from_coefficients": lambda: from_coefficients(A, B, np.ones((2, 5))),
}


@pytest.mark.parametrize("call", WRONG)
def test_builders_refuse_in_their_own_name(call):
    with pytest.raises(kofn.ArgumentError) as caught:
        WRONG[call]()
    assert str(caught.value).startswith(f"{call}: '")


def test_whoever_calls_a_builder_has_the_last_word():
    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.ArgumentError, match=r"^kofn\.matmul: 'blocks' must be a pair"):
        kofn.matmul(A, B, workers=pool, blocks=3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alpha": "x"}, "'alpha' must be a matrix of finite real numbers"),
        ({"alpha": [1.0, 2.0]}, "'alpha' must be a matrix of finite real numbers"),
        ({"alpha": np.ones((2, 2)), "beta": np.full((2, 1), np.nan)}, "'beta' must be a matrix of finite real numbers"),
        ({"alpha": np.ones((2, 2)), "beta": np.ones((3, 1))}, "'beta' must have a row for each of the 2 rows"),
        ({"alpha": np.ones((2, 1)), "beta": np.ones((2, 9))}, "'beta' must cut the 4 columns of B into at most 4"),
        ({"alpha": 1j * np.ones((2, 1))}, "'alpha' must be a matrix of finite real numbers"),
    ],
)
def test_coefficients_that_cannot_be_are_refused(given, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        from_coefficients(A, B, **given)


@pytest.mark.parametrize("name", sorted(kofn.schemes.PRODUCTS))
def test_a_wrong_call_names_the_builder_that_was_called(name):
    builder = kofn.schemes.PRODUCTS[name]
    with pytest.raises(TypeError, match=rf"^{builder.__name__}\(\) .*'block'"):
        builder(np.eye(2), np.eye(2), workers=2, block=3)
    with pytest.raises(TypeError, match=rf"^{builder.__name__}\(\) missing .*'B'"):
        builder(np.eye(2), workers=2)
