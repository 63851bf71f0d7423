"""docs/mutants.md, from the verdicts."""

from __future__ import annotations

HEAD = """# Does the suite fail where it should?

A test that cannot fail proves nothing. So kofn's own source is broken on purpose, one small change at a time, and the
tests must notice it. `make mutants` does that again and writes this page, in an hour or so on two cores; `make test`
only looks whether each planted mistake still fits the source.

* **{planted} mistakes that somebody could make**, written from the source without a look at its tests
  (`tools/mutants/planted.toml`): {planted_killed} are noticed. {planted_first} were when they were first tried, with
  the quick tests of the same part.
* **{drawn} drawn by seed** from all places of these files, each as likely as any other: a comparison, an operator,
  `and`, `or`, a number, `not`, a value that is returned, a statement that is left out, `break`. {drawn_killed} are
  noticed. {drawn_first} were when they were first tried.
{rest}
They are in codes and decoder (`codes/`), scheduler (`jobs/scheduling/`, `_assignment.py`, `_waking.py`), collector
(`_collector.py`, `_state.py`), checks of results (`_alike.py`, `_checks.py`, `_compared.py`, `_redundant.py`,
`_trust.py`, `_verification.py`, `_freivalds.py`) and pools (`_reputation.py`, `_slots.py`, `_threads.py`,
`local/_states.py`, `local/_supervisor.py`). Each is tried with the tests that run the line, the quickest first, as
far as they take less than {seconds} seconds together. Every test that is named here passes without a mutant. A mutant
with which a test hangs is noticed, too.
"""


def written(verdicts: list[dict], reasons: list[dict], planted: list[dict], seconds: float) -> str:
    """The page."""
    broken = {one["name"]: one["broken"] for one in planted}
    why = {(one["file"], one["old"], one["new"]): one["why"] for one in reasons}
    for one in verdicts:
        one["why"] = why.get((one["file"], one["old"], one["new"]), "")
    ours, drawn = [[one for one in verdicts if (one["name"] in broken) is is_ours] for is_ours in (True, False)]
    alive, gone = (sum(one["verdict"] == verdict for one in verdicts) for verdict in ("survived", "deleted"))
    argued = sum(bool(one["why"]) for one in verdicts)
    rest = f"* {argued} change nothing that anybody can tell, as stands beside each.\n" if argued else ""
    rest += f"* {gone} changed what nothing read: that was deleted.\n" if gone else ""
    rest += f"* **{alive - argued} are not noticed.**\n" if alive > argued else ""
    head = HEAD.format(**_counts("planted", ours), **_counts("drawn", drawn), rest=rest, seconds=round(seconds))
    planted_rows = [f"| {broken[one['name']]} | `{one['file']}` | {_end(one)} |" for one in ours]
    drawn_rows = [
        f"| `{one['file']}:{one['line']}` | {_code(one['old'])} | {_code(one['new'])} | {_end(one)} |" for one in drawn
    ]
    return "\n".join(
        [head, "## Planted", "", "| what is broken | where | noticed by |", "|---|---|---|", *planted_rows, "",
         "## Drawn", "", "| where | before | after | noticed by |", "|---|---|---|---|", *drawn_rows, ""]
    )  # fmt: skip


def _counts(name: str, verdicts: list[dict]) -> dict[str, int]:
    return {
        name: len(verdicts),
        f"{name}_killed": sum(one["verdict"] == "killed" for one in verdicts),
        f"{name}_first": sum(one["first"] == "killed" for one in verdicts),
    }


def _end(one: dict) -> str:
    """Which test notices it, or why none does."""
    if one["verdict"] == "deleted":
        return f"deleted: {one['by']}"
    if one["verdict"] != "killed":
        return f"none: {one['why']}" if one["why"] else "**none**"
    if "::" not in one["by"]:
        return one["by"]
    file, _, test = one["by"].partition("::")
    kind = "the example of " if file.startswith("src") else ""
    return kind + _code(test.partition("[")[0].removeprefix("kofn."))


def _code(text: str) -> str:
    """The first line of a change, as code in a cell of a table."""
    lines = text.splitlines() or [""]
    shown = (lines[0] if len(lines) == 1 else f"{lines[0]} …").replace("|", "\\|")
    return f"`{shown}`" if shown and "`" not in shown else shown
