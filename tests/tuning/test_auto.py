"""What ``code="auto"`` takes, with nothing known and with delays that were recorded."""

import gc
import math
import time
import weakref

import numpy as np
import pytest

import kofn
from kofn.engines._delays import Delays, Message
from kofn.jobs._options import Options
from kofn.schemes import PRODUCTS
from kofn.simulation import VirtualPool
from kofn.simulation.bench import TRACES, candidates, choose
from kofn.simulation.bench._learn import learn
from kofn.simulation.bench._simulate import outcomes
from kofn.tuning.auto import _book, _products, product_way, sum_way
from kofn.tuning.auto import _estimates as estimates
from kofn.tuning.auto._products import Product, blocks_of
from kofn.tuning.auto._way import way_scheduler
from processes import crossed

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((24, 6)), RNG.standard_normal((6, 10))
LARGE = (4000, 4000, 4000)


def finished(search, sent=None):
    """What a search comes to, all at once."""
    next(search)
    while True:
        try:
            search.send(sent)
        except StopIteration as end:
            return end.value


def remembered(trace, workers=8, jobs=40, seed=0, busy=1e6, delays=None):
    """The memory of a pool that has seen jobs of a trace."""
    delays = Delays() if delays is None else delays
    draws = TRACES[trace](jobs, workers, np.random.default_rng(seed))
    for job in range(jobs):
        tasks = [(worker, task) for worker in range(workers) for task in range(4)]
        messages = [Message(worker, float(task), float(draws.pace[job, worker, task])) for worker, task in tasks]
        delays.see(workers, messages, seconds=busy / jobs)
    return delays


def chosen(delays, options=None, shape=LARGE, workers=8, build=None, ends=False):
    """The way once it has been found out."""
    product, options = Product(shape, np.dtype(float), workers, delays, ends), options or Options()
    product_way(product, options, build)  # the simulation may have to be loaded first
    _book._Loading.thread.join()
    return product_way(product, options, build)


@pytest.mark.parametrize(
    ("shape", "rows"), [((2, 2, 2), 1), ((1, 1, 1), 1), ((2000, 2000, 2000), 32), ((2000, 2000, 3), 1), ((0, 3, 4), 1)]
)
def test_with_nothing_known_there_are_four_tasks_a_worker_unless_messages_would_cost_more(shape, rows):
    way = product_way(Product(shape, np.dtype(float), 8, Delays()), Options(), build=None)
    assert (way.code, way.rows) == ("uncoded", rows)
    assert isinstance(way.scheduler, kofn.CodedBackups)


def test_slow_messages_make_fewer_pieces():
    delays = Delays()
    delays.see(8, [], 1.0)
    for flops in (8e6, 8e9, 8e10):
        delays.see(8, [Message(worker, 0.0, 0.02 + 1e-10 * flops) for worker in range(8)], 1.0, work=flops)
    assert product_way(Product((2000, 2000, 2000), np.dtype(float), 8, delays), Options(), None).rows == 8


@pytest.mark.parametrize(("aim", "trace"), crossed(["p99", "median"], ["noise", "exponential", "slow-tasks"]))
def test_what_is_chosen_is_close_to_the_best_and_its_figures_are_those_of_other_draws(trace, aim):
    record = learn(TRACES[trace], 8, np.random.default_rng(1))
    among = candidates("product", 4.0, [math.inf])
    [found] = choose(record, 8, "product", [aim], among, seed=0)
    expected = found.p99 if aim == "p99" else found.p50
    draws = TRACES[trace](600, 8, np.random.default_rng(2))
    share = 0.99 if aim == "p99" else 0.5
    reached = {one: outcomes(one.policy.rules("product", 8, one.tasks), draws).percentile(share) for one in among}
    assert reached[found.candidate] <= 1.15 * min(reached.values())
    assert reached[found.candidate] == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("work", ["product", "sum"])
def test_what_is_run_is_what_was_simulated(work):
    """The kernel is held to these schedulers, with these figures, by a test of its own."""
    kind = kofn.CodedBackups if work == "product" else kofn.Duplicates
    for one in candidates(work):
        if one.policy.static:
            assert way_scheduler(one, 2.0) == "auto"
            continue
        restart = None if math.isinf(one.policy.restart) else one.policy.restart
        expected = kind(kofn.Adaptive(one.policy.batch), one.policy.multiplier, 2.0, restart_after=restart)
        assert way_scheduler(one, 2.0) == expected and one.policy.multiplier == 1.25


def test_pools_choose_by_what_they_remember_and_say_so():
    way = chosen(remembered("slow-tasks"))
    assert way.code == "uncoded" and way.why.startswith("took coded backups") and ": expected p99 " in way.why
    assert "plain " in way.why and way.rows >= 32
    assert chosen(remembered("slow-tasks"), Options(aim="median")).why.count("expected median") == 1


def test_a_way_is_kept_and_found_at_once():
    delays = remembered("exponential")
    first = chosen(delays)
    spent = _book.book_of(delays).spent
    times = []
    for _ in range(20):
        begun = time.process_time()
        assert chosen(delays).why == first.why
        times.append(time.process_time() - begun)
    assert _book.book_of(delays).spent == spent
    assert len(times) == 20


def test_choosing_takes_at_most_a_fiftieth_of_the_time_that_the_pool_has_worked():
    delays = remembered("exponential", busy=0.5)
    _book.is_ready(_book.Book(), 10.0)
    _book._Loading.thread.join()
    assert "not weighed yet" in product_way(Product(LARGE, np.dtype(float), 8, delays), Options(), None).why
    assert _book.book_of(delays).spent <= 0.02 * delays.busy + _book.book_of(delays).step


def test_a_way_is_chosen_anew_when_delays_have_changed():
    delays = remembered("noise")
    before = chosen(delays)
    other = remembered("slow-tasks", jobs=60)
    delays._jobs.clear()
    delays._jobs.extend(other._jobs)
    assert chosen(delays).why == before.why
    delays.count += 60
    assert chosen(delays).why != before.why


@pytest.fixture
def loaded():
    """The simulation has been loaded, and nobody has to pay for it any more."""
    for _ in range(2):
        _book.is_ready(_book.Book(), np.inf)
        _book._Loading.thread.join()


def test_a_pool_keeps_no_matrices_of_jobs_that_are_over(loaded, monkeypatch):
    """Wherever a search stands when the job ends: each job here pays for one step."""
    pool = VirtualPool([[0.01]] * 2)
    remembered("noise", workers=2, delays=pool.delays)
    book, clock = _book.book_of(pool.delays), iter(range(10**6))
    monkeypatch.setattr(_book, "perf_counter", lambda: next(clock))
    steps = 0
    while not book.kept:
        book.step, book.spent = 1.0, _book.SHARE * pool.delays.busy - 1.5
        a = RNG.standard_normal((24, 6))
        gone = weakref.ref(a)
        kofn.matmul(a, B, workers=pool, deadline=1.0 + 1e-6 * steps)
        del a
        steps += 1
        assert gone() is None or (gc.collect() and gone() is None)
        assert len(book.searches) + len(book.kept) == 1
    assert steps > 12 and isinstance(*book.kept.values(), estimates.Told)


def test_deadlines_and_tolerances_that_hardly_differ_are_one():
    product = Product(LARGE, np.dtype(float), 8, Delays())
    near = [Options(deadline=0.123 + 1e-4 * i, tolerance=0.0501 + 1e-5 * i) for i in range(5)]
    assert len({product.key(options) for options in near}) == 1
    others = [
        Options(),
        Options(deadline=0.13),
        Options(deadline=0.12),
        Options(tolerance=0.05),
        Options(tolerance=0.06),
    ]
    assert len({product.key(options) for options in others}) == 5


def test_a_search_that_fails_is_told_of_and_changes_nothing(loaded, caplog):
    """It is tried again once more is known, and what was found before stays."""

    def fails():
        yield
        raise ValueError("no such code")

    def finds():
        yield
        return "a way"

    book, delays = _book.Book(), remembered("noise")
    for known, search, found in ((40, fails, None), (41, finds, None), (60, finds, "a way"), (80, fails, "a way")):
        delays.count = known
        assert book.look_up(delays, "key", search) == found
        assert not book.searches and book.kept == ({} if found is None else {"key": found})
    assert [record.name for record in caplog.records] == ["kofn"] * 2 and "no such code" in caplog.text


def test_a_search_that_is_interrupted_begins_anew(loaded):
    def interrupted():
        yield
        raise KeyboardInterrupt

    def finds():
        yield
        return "a way"

    book, delays = _book.Book(), remembered("noise")
    with pytest.raises(KeyboardInterrupt):
        book.look_up(delays, "key", interrupted)
    assert book.look_up(delays, "key", finds) == "a way"


def test_a_product_is_computed_though_the_choice_fails(loaded, monkeypatch, caplog):
    def fails(*_):
        raise MemoryError("no room for draws")

    monkeypatch.setattr(_products, "record_of", fails)
    pool = VirtualPool([[0.01]] * 4)
    remembered("noise", workers=4, delays=pool.delays)
    answers = [kofn.matmul(A, B, workers=pool, deadline=1.0) for _ in range(2)]
    assert all(answer.exact and np.allclose(answer.value, A @ B) for answer in answers)
    assert answers[0].report.choice == answers[1].report.choice != ""
    assert len(caplog.records) == 1 and "no room for draws" in caplog.text


def test_books_are_bounded():
    book = _book.Book()
    for number in range(300):
        _book._put(book.kept, number, (0, None))
    assert len(book.kept) == _book.KEPT


def test_arrivals_are_those_of_a_queue_that_workers_share():
    pace = np.array([[[1.0] * 8, [3.0] * 8]])
    assert estimates.arrivals(pace, np.zeros((1, 2, 1)), 1.0, 4, steals=True).tolist() == [[1.0, 2.0, 3.0, 3.0]]
    assert estimates.arrivals(pace, np.zeros((1, 2, 1)), 1.0, 4, steals=False).tolist() == [[1.0, 2.0, 3.0, 6.0]]


def test_errors_by_count_are_those_of_the_decoder():
    scheme = PRODUCTS["uncoded"](A, B, blocks=(4, 1), workers=4, rng=0)
    errors = finished(estimates.errors_of(scheme.code, scheme.prior(), np.random.default_rng(0)))
    energies = scheme.prior().energies
    assert errors[0] == 1.0 and errors[4] == 0.0 and np.all(np.diff(errors) < 0)
    assert errors[3] <= np.sqrt(energies.max() / energies.sum()) + 1e-9


def digits(name, rows):
    """A kernel matrix whose rows differ in size: few of its blocks tell most, if somebody brings them together."""
    X = np.random.default_rng(0).standard_normal((64, 32)) * 10.0 ** np.random.default_rng(1).uniform(-2, 1, (64, 1))
    cut = {"blocks": (rows, 1)} if name == "uncoded" else {"rows": rows}
    return PRODUCTS[name](X, X.T, workers=8, rng=0, **cut)


def test_at_a_deadline_that_most_miss_the_code_is_the_one_with_the_best_estimate():
    delays = remembered("exponential")
    share = Product(LARGE, np.dtype(float), 8, delays).share
    way = chosen(delays, Options(deadline=0.6 * share), build=digits)
    assert way.code == "kronecker" and "expected error" in way.why and "at the deadline, plain" in way.why
    early = chosen(delays, Options(deadline=50 * share), build=digits)
    assert early.code == "uncoded"


def test_a_tolerance_is_met_by_the_code_that_meets_it_soonest():
    delays = remembered("exponential")
    way = chosen(delays, Options(tolerance=0.3), build=digits)
    assert way.code == "kronecker" and "expected p99 of an error of 30.0 %" in way.why


def test_with_nothing_known_estimates_come_of_a_code_that_gives_good_ones():
    large = Product(LARGE, np.dtype(float), 8, Delays())
    assert product_way(large, Options(tolerance=0.1), None).code == "kronecker"
    assert product_way(large, Options(deadline=0.5 * large.share), None).code == "kronecker"
    assert product_way(large, Options(deadline=100 * large.share), None).code == "uncoded"


@pytest.mark.parametrize("calm", [1.0, 1.2])
def test_a_calm_day_begins_nothing_twice(calm):
    large = np.ones((640, 300))
    rows = kofn.matmul(large, large.T, workers=VirtualPool([[1.0], [1.0], [1.0], [calm]]), rows=16)
    assert len(rows.report.attempts) == 16 and rows.exact
    summed = kofn.sum([abs] * 16, 1.0, workers=VirtualPool([[1.0], [1.0], [1.0], [calm]]))
    assert len(summed.report.attempts) == 16 and summed.exact


def test_sums_are_shared_out_and_repeated():
    way = sum_way(1000, 8, remembered("slow-tasks"), Options())
    _book._Loading.thread.join()
    way = sum_way(1000, 8, remembered("slow-tasks"), Options())
    assert isinstance(way.scheduler, kofn.Duplicates) and "expected p99" in way.why
    assert sum_way(5, 8, Delays(), Options()).rows == 5


@pytest.mark.parametrize("shape", [(7, 3, 5), (5, 3, 7)])
def test_the_longer_side_is_cut(shape):
    assert sorted(blocks_of(4, shape)) == [1, 4]
    assert blocks_of(4, shape)[0 if shape[0] > shape[2] else 1] == 4


# -- faces --------------------------------------------------------------------------------------------


def test_every_face_says_in_its_report_what_was_chosen():
    with (
        kofn.ThreadPool(3) as pool,
        kofn.CodedSum([abs, abs], workers=pool) as total,
        kofn.CodedMap(abs, workers=pool) as f,
    ):
        answers = [
            kofn.matmul(A, B, workers=pool),
            kofn.matmul(A, B, workers=pool, code="auto", blocks=(3, 1)),
            kofn.matmul(A, B, workers=pool, rows=6),
            kofn.matmul(A.astype(int), B.astype(int), workers=pool),
            kofn.sum([abs, abs], -1.0, workers=pool),
            kofn.map(abs, [1, -2], workers=pool, code="auto"),
            total(2.0),
            f([1.0, 2.0]),
            total.plan.start(2.0).result(),
        ]
    for answer in answers:
        assert answer.exact and answer.report.choice.startswith("took ")
        assert answer.report.choice in str(answer.report) and answer.report.to_dict()["choice"] == answer.report.choice
    assert kofn.matmul(A, B, workers=2, code="mds").report.choice == ""


def test_a_report_says_neither_that_backups_were_taken_nor_what_is_known_where_that_is_not_so():
    A, B = np.arange(12.0).reshape(4, 3), np.ones((3, 2))
    with kofn.ThreadPool(2) as pool:
        for a, b, blocks in ((A, B, (2, 1)), (A.astype(int), B.astype(int), None)):
            answer = kofn.matmul(a, b, workers=pool, blocks=blocks, scheduler="static")
            assert answer.exact and answer.report.choice.startswith("took plain rows")
    delays, rule = remembered("noise", busy=1e-6), Options(stop=kofn.Decodable())
    product = Product(LARGE, np.dtype(float), 8, delays)
    assert "a stop rule of your own" in product_way(product, rule, None).why
    assert "no delays" not in product_way(product, Options(tolerance=0.1), None).why
    assert "of sums" in sum_way(1000, 8, delays, rule).why


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_a_worker_that_hangs_before_anything_came_back_is_backed_up(slow):
    delays = [[np.inf] if worker == slow else [0.01] for worker in range(3)]
    answer = kofn.matmul(A, B, workers=VirtualPool(delays))
    assert answer.exact and np.allclose(answer.value, A @ B) and answer.report.seconds < 1.0
    assert kofn.sum([abs, np.square], -3.0, workers=VirtualPool(delays)).value == 12.0


def test_a_pool_learns_from_its_jobs_and_chooses_by_that():
    rng = np.random.default_rng(0)
    pool = VirtualPool(np.where(rng.random((4, 2000)) < 0.1, 500.0, 50.0).tolist())
    terms = [abs] * 64
    choices = []
    for _ in range(20):
        answer = kofn.sum(terms, -1.0, workers=pool)
        assert answer.exact and answer.value == 64.0
        choices.append(answer.report.choice)
        if _book._Loading.thread is not None:
            _book._Loading.thread.join()
    assert "no delays of these workers are known yet" in choices[0] and "expected p99" in choices[-1]
    assert len(pool.delays.pace) == 4 and pool.delays.pace.shape[1] >= 80


BAD = {
    "an aim that is none": (
        lambda pool: kofn.matmul(A, B, workers=pool, aim="mean"),
        "'aim' must be one of 'p99', ",
    ),
    "with a scheduler": (
        lambda pool: kofn.matmul(A, B, workers=pool, aim="median", scheduler="coded"),
        "'aim' must be left out where 'scheduler' is named",
    ),
    "with a code": (
        lambda pool: kofn.matmul(A, B, workers=pool, aim="median", code="mds"),
        "'aim' must be left out where a code is named",
    ),
    "of a sum with a code": (
        lambda pool: kofn.sum([abs], 1.0, workers=pool, aim="median", code="cyclic"),
        "'aim' must be left out where a code is named",
    ),
    "of a scheme": (
        lambda pool: kofn.run(PRODUCTS["mds"](A, B, workers=3), pool, aim="median"),
        "'aim' must be left out where a code is named",
    ),
    "of a map": (lambda pool: kofn.map(abs, [1], workers=pool, aim="median"), "'aim' must be left out .*and of maps"),
    "rows and blocks": (
        lambda pool: kofn.matmul(A, B, workers=pool, blocks=(3, 1), rows=4),
        "'rows' must be left out where 'blocks' is given and 'code' is not",
    ),
    "a code that is none": (lambda pool: kofn.matmul(A, B, workers=pool, code="best"), "'code' must be one of 'auto'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case):
    call, sentence = BAD[case]
    with kofn.ThreadPool(3) as pool, pytest.raises(kofn.ArgumentError, match=sentence):
        call(pool)
