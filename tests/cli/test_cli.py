"""The command line in this process: what it prints, what it writes, and one sentence for what cannot be."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import kofn
from kofn.cli import _matmul as command
from kofn.cli import _parser as app
from kofn.cli import main
from kofn.engines import ThreadPool
from kofn.jobs._collector import Progress
from kofn.jobs.report import _progress as live


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A.npy and B.npy in the current folder, and an old C.npy."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "A.npy", rng.standard_normal((30, 20)))
    np.save(tmp_path / "B.npy", rng.standard_normal((20, 25)))
    np.save(tmp_path / "C.npy", np.zeros(1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def product(*options):
    return main(["matmul", "A.npy", "B.npy", "--out", "C.npy", "--workers", "4", *options])


def right(folder):
    return np.allclose(np.load(folder / "C.npy"), np.load(folder / "A.npy") @ np.load(folder / "B.npy"))


def sentence(capsys):
    """The one line on stderr; nothing is on stdout."""
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith(".\n"), err
    return err


# -- matmul -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", list(kofn.schemes.PRODUCTS))
def test_every_code_writes_the_product(files, threads, capsys, code):
    assert product("--code", code, "--seed", "0") == 0
    assert right(files)
    out, err = capsys.readouterr()
    assert re.fullmatch(r"C\.npy: exact, \d results? used, \d\.\d+ s\n", out)
    assert "rank 1 of" in err and "exact" in err.splitlines()[-1]


def test_quiet_says_nothing_but_the_summary(files, threads, capsys):
    assert product("--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_tolerance_gives_an_estimate_with_its_expected_error(files, threads, capsys):
    assert product("--code", "kronecker", "--blocks", "2", "2", "--tolerance", "0.99", "--seed", "1") == 0
    told = re.fullmatch(r"C\.npy: expected relative error (\S+), \d results? used, \S+ s\n", capsys.readouterr().out)
    assert 0 < float(told[1]) <= 0.99
    assert np.load("C.npy").shape == (30, 25)


def test_options_of_a_run_are_options_of_the_command(files, threads):
    assert product("--scheduler", "adaptive", "--estimator", "exact", "--deadline", "60", "--scratch", str(files)) == 0


def test_a_timeline_is_drawn(files, threads):
    assert product("--timeline", "who.png") == 0
    assert (files / "who.png").read_bytes().startswith(b"\x89PNG")


SPILLS = ["--code", "uncoded", "--blocks", "12", "1", "--rows", "12", "--memory-limit-bytes", "9000"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--code", "mdz"], "'code' must be one of"),
        (["--deadline", "-1"], "'deadline' must be a finite number > 0, but got -1.0"),
        (["--tolerance", "nan"], "'tolerance' must"),
        (["--blocks", "9", "9", "--code", "kronecker"], "'blocks' must need at most 4 results"),
        (["--memory-limit-bytes", "10"], "'memory_limit_bytes' must be at least"),
        (["--estimator", "best"], "'estimator' must be one of 'lmmse', 'exact'"),
        (["--scheduler", "clever"], "'scheduler' must be"),
        ([*SPILLS, "--scratch", "nowhere"], "'scratch' must be a folder"),
        (["--seed", "-1"], "'rng' must be"),
        (["--rows", "0"], "'rows' must be an int of at least 1"),
        (["--timeline", "none/who.png"], "'--timeline' must lie in a folder that exists"),
    ],
)
def test_bad_options_get_a_sentence_and_change_nothing(files, threads, capsys, options, part):
    assert product(*options, "--quiet") == 2
    assert part in sentence(capsys)
    assert np.load("C.npy").shape == (1,) and len(list(files.iterdir())) == 3


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.ones((3, 25)), "'B' must have 20 rows, as A has columns"),
        (np.full((20, 5), np.nan), "'B' must be finite, but got nan at [0, 0]"),
        (np.full((20, 5), 2**60), "'B' must hold integers of 2**53 at most"),
        (np.ones((20, 5), bool), "'B' must hold float32, float64, complex numbers or integers"),
        (np.ones(20), "'B' must have 2 dimensions"),
        (np.full((20, 5), "x"), "'B' must hold float32, float64, complex numbers or integers"),
    ],
)
def test_bad_matrices_get_a_sentence_before_any_worker_starts(files, capsys, monkeypatch, array, part):
    monkeypatch.setattr("kofn.engines.local._pool.LocalPool", None)
    np.save("B.npy", array)
    assert product("--quiet") == 2
    assert part in sentence(capsys)
    assert np.load("C.npy").shape == (1,)


def test_a_bad_place_is_refused_before_any_worker_starts(files, capsys, monkeypatch):
    monkeypatch.setattr(command, "matmul", None)
    assert main(["matmul", "A.npy", "B.npy", "--out", "none/C.npy"]) == 2
    assert "'--out' must lie in a folder that exists" in sentence(capsys)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--out", "A.npy"], "'--out' must be another file than A, but got A.npy"),
        (["--out", "./B.npy"], "'--out' must be another file than B"),
        (["--timeline", "C.npy"], "'--timeline' must be another file than --out"),
        (["--timeline", "A.npy"], "'--timeline' must be another file than A"),
    ],
)
def test_nothing_is_written_over_anything_else(files, capsys, monkeypatch, options, part):
    monkeypatch.setattr(command, "matmul", None)
    before = {path: path.read_bytes() for path in files.iterdir()}
    assert product(*options) == 2
    assert part in sentence(capsys)
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_file(files, threads, capsys, monkeypatch):
    def full(number):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    assert product("--quiet") == 2
    assert "No space left on device" in sentence(capsys)
    assert np.load("C.npy").shape == (1,) and len(list(files.iterdir())) == 3


def test_when_nothing_arrives_nothing_is_written(files, threads, capsys):
    assert product("--deadline", "1e-9", "--quiet") == 1
    assert "the deadline passed before any result arrived" in sentence(capsys)
    assert np.load("C.npy").shape == (1,)


def test_when_too_little_arrives_the_best_estimate_is_written(files, capsys, monkeypatch):
    def failing(A, B, **options):
        with ThreadPool(2) as pool:
            stop = kofn.Count(1)
            estimate = kofn.run(kofn.schemes.uncoded(A, B, workers=2, rng=0), workers=pool, stop=stop)
        raise kofn.NotDecodable("uncoded is not exact: all 2 workers are gone; look there.", estimate)

    monkeypatch.setattr(command, "matmul", failing)
    assert product("--quiet") == 1
    told = sentence(capsys)
    assert "all 2 workers are gone; the best estimate was written to C.npy: expected relative error" in told
    assert np.load("C.npy").shape == (30, 25)


def test_a_task_that_fails_says_so_and_writes_nothing(files, capsys, monkeypatch):
    def failing(A, B, **options):
        raise kofn.TaskError("the task of row 0 raised MemoryError at worker 1: too much.", 1, 0)

    monkeypatch.setattr(command, "matmul", failing)
    assert product("--quiet") == 1
    assert sentence(capsys).endswith("worker 1: too much; nothing was written.\n")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 1)])
def test_interrupts_and_want_of_memory_end_in_a_sentence(files, capsys, monkeypatch, error, code):
    def failing(A, B, **options):
        raise error

    monkeypatch.setattr(command, "matmul", failing)
    assert product() == code
    sentence(capsys)


# -- the rest -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in app.commands())])
def test_help_has_examples(capsys, argv):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "example" in out and "  kofn " in out


def test_examples_in_help_are_accepted():
    parser = app.parser(app.commands())
    for point in app.commands().values():
        lines = [line for line in point.load().examples.splitlines() if line.startswith("  ")]
        assert lines
        for line in lines:  # what else stands there explains them
            parser.parse_args(re.split(r" >>? | \| ", line.split("  ")[1])[0].split()[1:])


BLOCKED = """
import sys
sys.modules["kofn_studies"] = None  # as if it were not installed
from kofn.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("argv", [["figure", "--list"], ["figure", "uep-fig8", "--out", "x"], ["demo", "--help"]])
def test_a_command_whose_package_is_missing_says_what_to_install(argv):
    done = subprocess.run([sys.executable, "-c", BLOCKED, *argv], capture_output=True, text=True, timeout=60)
    sentence = f"kofn {argv[0]} needs kofn_studies; install it with pip install kofn.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


def test_without_the_studies_the_other_commands_are_listed():
    done = subprocess.run([sys.executable, "-c", BLOCKED, "--help"], capture_output=True, text=True, timeout=60)
    listed = re.findall(r"^    (\w+)(?: |$)", done.stdout, re.MULTILINE)
    assert (done.returncode, sorted(listed), done.stderr) == (0, sorted(app.OWN), "")


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0 and capsys.readouterr().out == f"kofn {kofn.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["matmul"], ["nonsense"], ["matmul", "A", "B", "--out", "C", "--rows", "x"]])
def test_a_bad_command_line_gets_one_sentence(capsys, argv):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    assert "--help.\n" in sentence(capsys)


def test_codes_fit_into_a_hundred_columns(capsys):
    assert main(["codes"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    builders = {**kofn.schemes.PRODUCTS, **kofn.schemes.SUMS, **kofn.schemes.FUNCTIONS}
    assert all(re.search(rf"^{name}  ", out, re.MULTILINE) for name in builders)


def test_codes_as_json_are_those_of_the_tables(capsys):
    assert main(["codes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    builders = [*kofn.schemes.PRODUCTS, *kofn.schemes.SUMS, *kofn.schemes.FUNCTIONS]
    assert {one["name"] for one in told} >= set(builders)
    assert next(one for one in told if one["name"] == "matdot")["threshold"] == "2M − 1"


def test_codes_at_length_have_load_threshold_and_paper(capsys):
    assert main(["codes", "--long"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^{name} +1[ ;]", out, re.MULTILINE) for name in kofn.schemes.PRODUCTS)
    assert "Lee et al. 2018" in out and "2M − 1" in out


def test_cite_prints_bibtex_or_says_what_there_is(capsys):
    assert main(["cite", "matdot"]) == 0
    assert capsys.readouterr().out.count("@article") == 2
    assert main(["cite", "turbo"]) == 2
    assert "'matdot'" in sentence(capsys)


def test_a_terminal_that_cannot_show_a_letter_shows_another(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert main(["codes"]) == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_one_line_is_rewritten_and_never_wraps(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    screen = Terminal()
    with live.ProgressLine(screen) as line:
        line.show("one")
        line.show("x" * 100)
    assert screen.getvalue() == "\r\x1b[2Kone\r\x1b[2K" + "x" * 19 + "\n"


def test_the_bar_is_left_out_where_it_would_be_too_long():
    assert live.format_progress(Progress(1, 100, 1, 99, 0.5, False, 0.1)).startswith("rank 1 of 99")


def test_a_command_that_is_broken_says_so_and_leaves_the_others(tmp_path, monkeypatch, capsys):
    metadata = tmp_path / "some_tools-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-tools\nVersion: 1.0\n")
    away, wrong = "away = json.nothere:COMMAND", "wrong = json:dumps"
    (metadata / "entry_points.txt").write_text(f"[kofn.commands]\n{away}\n{wrong}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, sentence in {
        "away": "kofn away cannot be loaded from json.nothere:COMMAND: ModuleNotFoundError: ",
        "wrong": "kofn wrong must be a kofn.cli.Command, but json:dumps is <function dumps",
    }.items():
        assert main([name]) == 1
        assert sentence in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0 and "away kofn away cannot be loaded" in said and "print the BibTeX entries" in said
    assert main(["cite", "kofn"]) == 0
