"""Shell completion, in a shell that has read it."""

import shutil
import subprocess
import sys

import pytest

from kofn.cli import main
from kofn.cli._parser import installed
from kofn.schemes import PRODUCTS
from kofn.simulation.bench import WORK

pytest.importorskip("shtab")

ASK = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
completes=$(complete -p kofn)
[[ $completes =~ -F\\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" kofn "${COMP_WORDS[-1]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does when somebody presses the tabulator."""


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """``completed("kofn", "ma")``: what bash offers in place of the last word."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    folder = tmp_path_factory.mktemp("completion")
    script = subprocess.run([sys.executable, "-m", "kofn", "completion", "bash"], capture_output=True, check=True)
    (folder / "kofn.bash").write_bytes(script.stdout)
    (folder / "matrix.npy").touch()
    (folder / "results").mkdir()

    def offered(*words):
        command = [bash, "--norc", "-c", ASK, "bash", "kofn.bash", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)
        assert done.stderr == ""
        return set(done.stdout.split())

    return offered


def test_bash_completes_commands(completed):
    assert completed("kofn", "") >= set(installed())
    assert completed("kofn", "mat") == {"matmul"}


def test_bash_completes_options_and_their_values(completed):
    assert completed("kofn", "matmul", "--dead") == {"--deadline"}
    assert completed("kofn", "matmul", "--code", "") == {"auto", *PRODUCTS}
    assert completed("kofn", "bench", "--work", "") == set(WORK)
    assert "kronecker" in completed("kofn", "cite", "kro")


def test_bash_completes_files_and_folders(completed):
    assert completed("kofn", "matmul", "mat") == {"matrix.npy"}
    assert completed("kofn", "bench", "--out", "res") == {"results"}
    assert completed("kofn", "bench", "--out", "mat") == set()


@pytest.mark.parametrize(("shell", "sign"), [("zsh", "#compdef kofn"), ("fish", "complete -c kofn")])
def test_other_shells_are_given_a_script_with_every_command(capsys, shell, sign):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert sign in script and all(name in script for name in installed())


def test_without_shtab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "needs shtab; install it with pip install 'kofn[completion]'" in capsys.readouterr().err


def test_a_shell_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as left:
        main(["completion", "cmd"])
    assert left.value.code == 2 and "invalid choice" in capsys.readouterr().err
