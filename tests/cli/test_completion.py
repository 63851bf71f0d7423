"""Shell completion, in a shell that has read it."""

import io
import shutil
import subprocess
import sys
from contextlib import redirect_stdout

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

TYPE = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D
seen() { print -r -- $BUFFER >> seen; BUFFER= }; zle -N seen; bindkey "^X" seen'
: > seen
for line; do
  ((++lines))
  zpty -w -n shell "$line"$'\\t\\x18'
  until [[ $(wc -l < seen) -ge $lines ]]; do zpty -r -t shell || sleep 0.01; done
done > /dev/null
zpty -d shell
"""
"""Types lines at a terminal of zsh, each with a tabulator, and then the key that writes down what the line is now."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A matrix, a folder, and where each shell looks for what completes the command."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "matrix.npy").touch()
    (folder / "results").mkdir()
    return folder


@pytest.fixture(scope="module")
def script(folder):
    """``script("zsh", "_kofn")``: writes what a shell is given to that file, and says where the shell is."""

    def written(shell, name):
        place = shutil.which(shell)
        if place is None:
            pytest.skip(f"there is no {shell} here")
        out = io.StringIO()
        with redirect_stdout(out):
            assert main(["completion", shell]) == 0
        (folder / name).write_text(out.getvalue())
        return place

    return written


@pytest.fixture(scope="module")
def completed(folder, script):
    """``completed("kofn", "ma")``: what bash offers in place of the last word."""
    bash = script("bash", "kofn.bash")

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
    assert completed("kofn", "bench", "--policies", "plain", "spark-3") == {"spark-3.5"}
    assert "kronecker" in completed("kofn", "cite", "kro")


def test_bash_completes_files_and_folders(completed):
    assert completed("kofn", "matmul", "mat") == {"matrix.npy"}
    assert completed("kofn", "bench", "--out", "res") == {"results"}
    assert completed("kofn", "bench", "--out", "mat") == set()


def test_zsh_completes_all_that_bash_does(folder, script):
    zsh = script("zsh", "_kofn")
    becomes = {
        "kofn mat": "kofn matmul ",
        "kofn matmul --dead": "kofn matmul --deadline ",
        "kofn matmul --code kro": "kofn matmul --code kronecker ",
        "kofn matmul mat": "kofn matmul matrix.npy ",
        "kofn bench --work op": "kofn bench --work operator ",
        "kofn bench --policies plain cod": "kofn bench --policies plain coded ",
        "kofn bench --policies plain coded --see": "kofn bench --policies plain coded --seed ",
        "kofn bench --traces pareto noise slow-w": "kofn bench --traces pareto noise slow-worker ",
        "kofn bench --traces pareto noise --out res": "kofn bench --traces pareto noise --out results/",
        "kofn bench --out res": "kofn bench --out results/",
        "kofn cite kro": "kofn cite kronecker ",
    }
    subprocess.run([zsh, "-f", "-c", TYPE, "zsh", *becomes], cwd=folder, timeout=60, check=True)
    assert (folder / "seen").read_text().splitlines() == list(becomes.values())


def test_fish_completes_all_that_bash_does(folder, script):
    fish = script("fish", "kofn.fish")
    becomes = {
        "kofn mat": "matmul",
        "kofn matmul --dead": "--deadline",
        "kofn matmul --code kro": "kronecker",
        "kofn matmul mat": "matrix.npy",
        "kofn bench --policies plain cod": "coded",
        "kofn bench --policies plain coded --see": "--seed",
        "kofn bench --traces pareto noise slow-w": "slow-worker",
        "kofn bench --traces pareto noise --out res": "results/",
        "kofn bench --out res": "results/",
        "kofn cite kro": "kronecker",
    }
    ask = "source kofn.fish; for line in $argv; complete -C $line; end"
    command = [fish, "--no-config", "-c", ask, *becomes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == list(becomes.values())


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
