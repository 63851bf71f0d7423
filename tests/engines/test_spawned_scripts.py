"""Functions and classes of a script travel from processes that multiprocessing started, too."""

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
import kofn

class Scaled:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, x):
        return self.factor * x

def twice(x):
    return 2 * x

def work(results):
    with kofn.LocalPool(2) as pool:
        results.put([
            kofn.map(twice, [1.0, 2.0], workers=pool).value,
            float(kofn.sum([twice, Scaled(3)], 1.0, workers=pool).value),
            kofn.map(lambda x: twice(x) + 1, [1.0], workers=pool).value,
        ])

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    results = context.Queue()
    process = context.Process(target=work, args=(results,))
    process.start()
    print(results.get(timeout=50))
    process.join()
"""


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_functions_of_a_script_work_in_processes_that_were_started(tmp_path, method):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path, method], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[[2.0, 4.0], 5.0, [3.0]]", "")
