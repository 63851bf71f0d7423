"""Studies: what a point is, what a store keeps, and that nothing finished is lost or changed, however a run ends."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from kofn import LocalPool
from kofn.errors import FileError, TaskError, WorkerLost
from kofn_studies.study import Point, Store, complete, progress, run, store


@dataclass(frozen=True)
class Drawn(Point):
    number: int
    seed: int = 0

    def compute(self, data):
        return {"drawn": np.random.default_rng([self.seed, self.number]).normal(size=(3, 2)).T}


@dataclass(frozen=True)
class Timed(Drawn):
    measures_time: ClassVar[bool] = True


@dataclass(frozen=True)
class Deadly(Point):
    """Ends its process, unless a file says that it has done so often enough."""

    path: str
    deaths: int

    def compute(self, data):
        with Path(self.path).open("a+b") as file:
            file.write(b".")
            died = file.tell()
        if died <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"died": np.array(died - 1)}


@dataclass(frozen=True)
class Wrong(Point):
    number: int

    def compute(self, data):
        raise ZeroDivisionError("no such number")


@dataclass(frozen=True)
class Hungry(Point):
    number: int

    def compute(self, data):
        raise MemoryError


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2, threads_per_worker=1) as made:
        yield made


def same(found, points):
    return all(np.array_equal(found[point]["drawn"], point.compute(None)["drawn"]) for point in points)


def test_a_point_is_told_apart_by_kind_version_and_fields():
    class Newer(Drawn):
        version: ClassVar[int] = 2

    digests = {point.digest for point in (Drawn(1), Drawn(2), Drawn(1, 1), Timed(1), Newer(1))}
    assert len(digests) == 5 and all(len(digest) == 32 for digest in digests)
    assert json.loads(Drawn(1).identity) == {"kind": "Drawn", "version": 1, "of": {"number": 1, "seed": 0}}


def test_the_kinds_of_all_figures_have_names_of_their_own():
    from kofn_studies.figures import FIGURES, losses, sr_decode, sr_fig2c, sr_setting

    assert FIGURES and losses and sr_decode and sr_fig2c and sr_setting
    kinds = [kind for kind in Point.__subclasses__() if kind.__module__.startswith("kofn_studies")]
    assert len(kinds) >= 7 and len({kind.__name__ for kind in kinds}) == len(kinds)


def test_what_is_kept_comes_back_to_the_last_bit_and_is_not_computed_again(tmp_path, pool):
    points = [Drawn(number) for number in range(6)]
    first = complete(points, Store(tmp_path), pool, None, io.StringIO())
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    again = complete(points[::-1], Store(tmp_path), pool, None, io.StringIO())
    assert same(first, points) and same(again, points) and len(stamps) == 6
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert all(first[p]["drawn"].flags.c_contiguous and again[p]["drawn"].flags.c_contiguous for p in points)
    seconds, peak = Store(tmp_path).cost(points[0])
    assert 0 < seconds < 60 and peak > 10**7 and Store(tmp_path).cost(Drawn(99)) == (0.0, 0)


def test_a_file_that_is_damaged_or_of_something_else_counts_as_none(tmp_path):
    held = Store(tmp_path)
    for number in range(3):
        held.add(Drawn(number), Drawn(number).compute(None))
    cut, other = (tmp_path / f"{Drawn(number).digest}.npz" for number in (0, 1))
    cut.write_bytes(cut.read_bytes()[:-40])
    other.write_bytes((tmp_path / f"{Drawn(2).digest}.npz").read_bytes())
    again = Store(tmp_path)
    assert [again.get(Drawn(number)) is None for number in range(4)] == [True, True, False, True]


ONE_BIT = {
    "a shape that needs fewer numbers": (b"'shape': (900,)", b"'shape': (100,)"),
    "another way to compress": (
        b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00\x00\x00",
        b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00\x02\x00",
    ),
    "encrypted": (b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00", b"PK\x01\x02\x2d\x03\x2d\x00\x01\x00"),
}


@pytest.mark.parametrize("damage", ONE_BIT)
def test_a_point_in_whose_file_one_bit_is_wrong_is_computed_again(tmp_path, damage):
    """The first has no wrong checksum where NumPy looks for one, and the others raise what is no zip file's error."""
    Store(tmp_path).add(Drawn(0), {"drawn": np.arange(900.0)})
    path, (right, wrong) = tmp_path / f"{Drawn(0).digest}.npz", ONE_BIT[damage]
    whole = path.read_bytes()
    assert right in whole and sum((a ^ b).bit_count() for a, b in zip(right, wrong, strict=True)) == 1
    path.write_bytes(whole.replace(right, wrong, 1))
    assert Store(tmp_path).get(Drawn(0)) is None


def test_an_array_in_the_place_of_a_point_is_none(tmp_path):
    held = Store(tmp_path)
    with (tmp_path / f"{Drawn(0).digest}.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert held.get(Drawn(0)) is None


def test_a_process_that_dies_is_replaced_and_its_point_tried_again(tmp_path, pool):
    log = io.StringIO()
    twice = Deadly(str(tmp_path / "twice"), 2)
    found = complete([twice, Drawn(0)], Store(tmp_path / "points"), pool, None, log)
    assert found[twice]["died"] == 2
    with pytest.raises(WorkerLost, match=r"3 processes died while they computed '.*always 99', .*fewer --jobs"):
        complete([Deadly(str(tmp_path / "always"), 99)], Store(tmp_path / "points"), pool, None, log)
    assert (tmp_path / "always").read_bytes() == b"." * run.ATTEMPTS


def test_too_little_memory_for_a_point_is_told_with_what_may_help(tmp_path, pool):
    """What the command says of matrices that are too large helps nobody here."""
    with pytest.raises(TaskError, match=r"too little memory for '7'; give fewer --jobs") as caught:
        complete([Hungry(7)], Store(tmp_path), pool, None, io.StringIO())
    assert caught.value.worker in (0, 1) and not list(tmp_path.glob("*.claim"))


def test_what_a_point_raises_is_raised_and_the_others_are_kept(tmp_path, pool):
    points = [Drawn(0), Drawn(1)]
    complete(points, Store(tmp_path), pool, None, io.StringIO())
    with pytest.raises(ZeroDivisionError, match="no such number"):
        complete([*points, Wrong(0)], Store(tmp_path), pool, None, io.StringIO())
    assert not list(tmp_path.glob("*.claim")) and len(list(tmp_path.glob("*.npz"))) == 2


def test_ctrl_c_writes_down_what_has_come(tmp_path, pool):
    """It strikes between the end of a point and its being written."""
    held, interrupted = Store(tmp_path), []

    class Interrupting(Store):
        def add(self, *arguments):
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            super().add(*arguments)

    held.__class__ = Interrupting
    with pytest.raises(KeyboardInterrupt):
        complete([Drawn(0)], held, pool, None, io.StringIO())
    assert Store(tmp_path).get(Drawn(0)) is not None


def test_what_is_timed_is_timed_alone(tmp_path, pool, monkeypatch):
    running, most = [], []
    submit = pool.submit

    def watched(worker, function, point, data):
        running.append(point)
        most.append(sum(isinstance(one, Timed) for one in running) and len(running))
        future = submit(worker, function, point, data)
        future.add_done_callback(lambda _: running.remove(point))
        return future

    monkeypatch.setattr(pool, "submit", watched)
    points = [kind(number) for number in range(4) for kind in (Timed, Drawn)]
    assert same(complete(points, Store(tmp_path), pool, None, io.StringIO()), points)
    assert max(most) == 1 and most.count(1) == 4


def test_two_runs_over_one_folder_compute_nothing_twice(tmp_path, pool):
    points = [Drawn(number) for number in range(12)]
    found = {}
    with LocalPool(1, threads_per_worker=1) as other:

        def mine(name, workers):
            found[name] = complete(points, Store(tmp_path), workers, None, io.StringIO())

        # Two stores in one process hold claims of their own: a lock belongs to an open file.
        stamped = []
        write = Store._write

        def written(self, point, *rest):
            stamped.append(point)
            write(self, point, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "_write", written)
            threads = [threading.Thread(target=mine, args=args) for args in (("a", other),)]
            [thread.start() for thread in threads]
            mine("b", pool)
            [thread.join() for thread in threads]
    assert sorted(stamped, key=points.index) == points
    assert same(found["a"], points) and same(found["b"], points)
    assert not list(tmp_path.glob("*.claim"))


def test_a_claim_that_is_let_go_while_another_is_being_made_is_had_by_one_alone(tmp_path, monkeypatch):
    """The file is opened, then deleted by whoever had it and made again by a third: what was opened is no claim."""
    first, third, lock = ExitStack(), ExitStack(), store.fcntl.flock
    assert first.enter_context(Store(tmp_path).claim(Drawn(0)))

    def late(file, how):
        monkeypatch.setattr(store.fcntl, "flock", lock)
        first.close()
        assert third.enter_context(Store(tmp_path).claim(Drawn(0)))
        lock(file, how)

    with third:
        monkeypatch.setattr(store.fcntl, "flock", late)
        with Store(tmp_path).claim(Drawn(0)) as mine:
            assert not mine
        assert list(tmp_path.glob("*.claim"))
    with Store(tmp_path).claim(Drawn(0)) as mine:
        assert mine
    assert not list(tmp_path.glob("*.claim"))


def test_a_folder_that_goes_away_or_has_no_locks_is_told_in_a_sentence(tmp_path, pool, monkeypatch):
    """Neither ends in a traceback, and nobody waits for ever for a claim that none can have."""

    def lockless(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    gone, held = Store(tmp_path / "gone"), Store(tmp_path / "held")
    shutil.rmtree(gone.folder)
    with pytest.raises(FileError, match="gone: No such file or directory; ") as caught:
        complete([Drawn(0)], gone, pool, None, io.StringIO())
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(store.fcntl, "flock", lockless)
    with pytest.raises(FileError, match="No locks available"):
        complete([Drawn(0)], held, pool, None, io.StringIO())


@contextmanager
def full_disk(monkeypatch, folder):
    """Nothing can be written while the reserve takes the last room."""
    whole = store.replacing

    @contextmanager
    def replacing(path, argument):
        if (folder / "reserve").exists():
            raise FileError(os.strerror(errno.ENOSPC))
        with whole(path, argument) as file:
            yield file

    with monkeypatch.context() as patch:
        patch.setattr(store, "replacing", replacing)
        yield


def test_on_a_full_disk_a_finished_point_takes_the_room_that_was_kept(tmp_path, pool, monkeypatch):
    held = Store(tmp_path)
    with full_disk(monkeypatch, tmp_path), pytest.raises(FileError, match="No space left"):
        complete([Drawn(0)], held, pool, None, io.StringIO())
    assert Store(tmp_path).get(Drawn(0)) is not None
    assert (tmp_path / "reserve").stat().st_size == store.RESERVE_BYTES  # taken again


def test_without_room_nothing_begins(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FileError, match="No space left") as caught:
        Store(tmp_path / "new")
    assert "\n" not in str(caught.value) and not list((tmp_path / "new").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="must be a folder"):
        Store(tmp_path / "file")


def test_progress_tells_what_is_done_and_what_is_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    log, points = io.StringIO(), [Drawn(number) for number in range(6)]
    told = progress.Progress(7, points, log)
    for seconds, point in zip((10.0, 12.0, 12.5, 16.0, 17.0, 19.0), points, strict=True):
        now[0] = seconds
        told.done(point, elsewhere=point is points[3])
    # The first, for which workers load what they need, and what others did tell nothing of the pace.
    assert log.getvalue().splitlines() == [
        "1 of 7 points are there already", "2 of 7: 0 0", "3 of 7, 8 s left: 1 0", "5 of 7, 6 s left: 3 0",
        "7 of 7, 0 s left: 5 0",
    ]  # fmt: skip


KILLED = """
import sys
from kofn.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_figure_that_is_killed_at_random_moments_ends_the_same(tmp_path, jobs):
    """SIGKILL again and again, each a bit later; the numbers are those of a run that was left alone."""
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", KILLED, "figure", "uep-fig10", "--trials", "6", "--seed", "5"]
    whole = [*command, "--out", str(tmp_path / "whole"), "--jobs", "2"]
    subprocess.run(whole, check=True, capture_output=True, timeout=120)
    rng = np.random.default_rng(0)
    for attempt in range(5):
        killed = subprocess.Popen([*command, "--out", str(tmp_path / "killed"), "--jobs", jobs], stderr=subprocess.PIPE)
        try:
            killed.wait(rng.uniform(0.5, 1.0) * (attempt + 1))
        except subprocess.TimeoutExpired:
            killed.kill()
        killed.communicate()
    subprocess.run([*command, "--out", str(tmp_path / "killed"), "--jobs", jobs], check=True, capture_output=True)
    one, other = (Path(tmp_path / name / "uep-fig10.json").read_bytes() for name in ("whole", "killed"))
    assert one == other


TINY = """
mount -t tmpfs -o size=8280k tmpfs "$1" || exit 77
cd "$1" && shift
"$@"; echo "rc $?, points $(ls points | grep -c npz)"
"$@"; echo "rc $?, points $(ls points | grep -c npz)"
mount -o remount,size=64m . && "$@" && cat uep-fig10.json >&3
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full_loses_no_point(tmp_path):
    """A file system with room for the reserve and a few points; with more room the figure is that of any other run."""
    pytest.importorskip("matplotlib")
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare")
    command = [sys.executable, "-c", KILLED, "figure", "uep-fig10", "--trials", "40", "--seed", "5", "--jobs", "1"]
    tiny = [unshare, "-rm", "bash", "-c", TINY.replace(">&3", ">../found"), "bash", str(tmp_path / "tiny")]
    (tmp_path / "tiny").mkdir()
    told = subprocess.run([*tiny, *command, "--out", "."], capture_output=True, text=True, timeout=300, check=False)
    if told.returncode in (1, 77) and "points" not in told.stdout:
        pytest.skip("file systems cannot be made here")
    first, second = (line for line in told.stdout.splitlines() if line.startswith("rc"))
    assert first == second and first.startswith("rc 2, points ") and told.stderr.count("No space left on device") == 2
    assert 2 <= int(first.split()[-1]) < 16
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True, timeout=300)
    assert (tmp_path / "found").read_bytes() == (tmp_path / "whole" / "uep-fig10.json").read_bytes()


def test_on_a_terminal_one_line_is_rewritten_and_ended(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    points = [Drawn(number) for number in range(3)]
    screen = Terminal()
    with progress.Progress(3, points, screen) as told:
        for point in points:
            told.done(point)
    assert screen.getvalue().count("\r") == 3 and screen.getvalue().count("\n") == 1
