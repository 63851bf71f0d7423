"""In these tests every run checks what always holds after every event."""

import pytest

from kofn.jobs._state import RunState


@pytest.fixture(autouse=True)
def checked(monkeypatch):
    handle = RunState.handle

    def handle_and_check(state, event, now):
        actions = handle(state, event, now)
        state.check()
        return actions

    monkeypatch.setattr(RunState, "handle", handle_and_check)
