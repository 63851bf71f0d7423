"""How often properties are tried."""

from hypothesis import settings


def examples(count: int) -> settings:
    """So many examples in the long run, a quarter of them in the fast one; see `conftest.py`."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))
