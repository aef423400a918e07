"""What every executor owes its caller; a further executor joins by one more name in `executor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

import pytest

from deltanas.evaluate import Executor, ImageData
from deltanas.records import Evaluation, Job, Verdict
from tests.evaluate.networks import PARAMETERS, RECIPE, make_job, network


@pytest.fixture(scope="session", params=["local_executor"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return request.getfixturevalue(request.param)


def evaluate(executor: Executor, job: Job) -> Evaluation:
    (evaluation,) = executor.map([job])
    return evaluation


def test_an_honest_network_learns(executor: Executor, digits: ImageData) -> None:
    found = evaluate(executor, make_job(network(), epochs=3))
    assert found.verdict is Verdict.TRAINED, found.reason
    assert found.reason == ""
    assert len(found.curve) == 3
    assert found.curve[0] < found.curve[-1] == found.proxy_accuracy
    assert found.proxy_accuracy > 3 * digits.majority_rate("val")
    assert found.first_epoch_accuracy < found.test_accuracy
    assert found.parameters == PARAMETERS
    assert found.macs == 64 * 32 + 32 * 10
    assert found.cpu_seconds > 0
    assert 0 < found.seconds < 60
    assert found.memory_bytes > 2**20


def test_the_same_job_has_the_same_outcome(executor: Executor) -> None:
    recipe = replace(RECIPE, flip=True, image_size=11)
    code = network(init="self.drop = nn.Dropout(0.5)", forward="x = self.drop(x)")
    jobs = [
        make_job(code, recipe=recipe, epochs=2, seed=seed) for seed in (2**62 + 1, 2**62 + 1, 5)
    ]
    first, again, other = (evaluate(executor, job) for job in jobs)
    assert first.curve == again.curve
    assert first.test_accuracy == again.test_accuracy
    assert other.curve != first.curve


def test_without_epochs_only_the_size_is_found(executor: Executor) -> None:
    found = evaluate(executor, make_job(network(), epochs=0))
    assert found.verdict is Verdict.TRAINED
    assert found.parameters == PARAMETERS
    assert found.proxy_accuracy is None
    assert found.curve == ()


def test_every_job_is_answered_once(executor: Executor) -> None:
    jobs = [make_job(network(), job_id=f"c00-s{slot:03d}", epochs=0) for slot in range(7)]
    found = [evaluation.job_id for evaluation in executor.map(jobs)]
    assert sorted(found) == [job.job_id for job in jobs]
    assert list(executor.map([])) == []


def test_jobs_are_drawn_no_earlier_than_needed(executor: Executor) -> None:
    drawn = count()

    def endless() -> Iterator[Job]:
        while True:
            yield make_job(network(), job_id=str(next(drawn)), epochs=0)

    assert len(list(islice(executor.map(endless()), 3))) == 3
    assert next(drawn) <= 3 + 2 * 64  # at most twice the workers ahead


BUILD_FAILS = [
    ("x = 1/0", "ZeroDivisionError: division by zero (line 11: x = 1/0)"),
    ("prm['depth']", "KeyError: 'depth'"),
    ("raise SystemExit(0)", "SystemExit: 0"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("open('/etc/no/such/file')", "No such file or directory: '<path>'"),
    ("raise ValueError('ab ' * 10_000)", "ValueError: ab ab"),
    ("nn.BatchNorm2d(None)", "must be tuple of ints, not NoneType in BatchNorm2d()"),
    ("nn.Conv2d(1, 1, 1, padding='x')", "Invalid padding string 'x'"),
]


@pytest.mark.parametrize(("init", "reason"), BUILD_FAILS)
def test_a_constructor_that_fails(executor: Executor, init: str, reason: str) -> None:
    found = evaluate(executor, make_job(network(init=init)))
    assert found.verdict is Verdict.BUILD
    assert reason in found.reason
    assert len(found.reason) <= 300
    assert "(line 11: " in found.reason


def test_the_check_alone_refuses_a_move_to_what_is_no_place(executor: Executor) -> None:
    found = evaluate(executor, make_job(network(init="self.to(nn.ReLU())"), epochs=0))
    assert found.verdict is Verdict.BUILD
    assert "to() received an invalid combination of arguments" in found.reason


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        ("class Net(", Verdict.SYNTAX, "'(' was never closed"),
        ("import no_such_library", Verdict.BUILD, "No module named 'no_such_library'"),
        ("def Net(*_): ...", Verdict.INTERFACE, "Net is function; it must be a class"),
        ("x = 1", Verdict.INTERFACE, "Net is NoneType"),
        (network().replace("train_setup", "setup"), Verdict.BUILD, "no attribute 'train_setup'"),
    ],
)
def test_a_file_without_the_interface(
    executor: Executor, code: str, verdict: Verdict, reason: str
) -> None:
    found = evaluate(executor, make_job(code))
    assert found.verdict is verdict
    assert reason in found.reason


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (
            "return x.flatten(1)",
            "maps 2 images to shape (2, 64) of torch.float32; it must be (2, 10)",
        ),
        ("return self.layers(x).sum(0)", "to shape (10,)"),
        ("return self.layers(x).argmax(1, keepdim=True).expand(-1, 10)", "of torch.int64"),
        ("return [self.layers(x)]", "forward returned list; it must return one tensor"),
        (
            "x = x[:, :, 1:]",
            "[2, 56] X [64, 32]. in Linear(in_features=64, out_features=32, bias=True) (line 19",
        ),
        ("x = x.view(60, -1)", "shape '[60, -1]' is invalid for input of size 128 (line 18: x = "),
    ],
)
def test_a_forward_of_the_wrong_shape(
    executor: Executor, forward: str, reason: str, epochs: int
) -> None:
    found = evaluate(executor, make_job(network(forward=forward), epochs=epochs))
    assert found.verdict is Verdict.SHAPE
    assert reason in found.reason


def test_a_shape_that_goes_wrong_only_in_evaluation(executor: Executor) -> None:
    code = network(forward="if not self.training: return x")
    found = evaluate(executor, make_job(code))
    assert found.verdict is Verdict.SHAPE
    assert found.proxy_accuracy is None


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        (
            "self.big = nn.Linear(10**5, 10**5)",
            "10,000,102,410 parameters; the limit is 1,000,000",
        ),
        ("self.big = nn.Linear(10**9, 10**9)", "the limit is 1,000,000"),
    ],
)
def test_a_huge_network_is_measured_without_building_it(
    executor: Executor, init: str, reason: str
) -> None:
    found = evaluate(executor, make_job(network(init=init)))
    assert found.verdict is Verdict.TOO_LARGE
    assert reason in found.reason


def test_a_network_of_too_many_operations(executor: Executor) -> None:
    code = network(
        init="self.c = nn.Conv2d(1, 1, 3, padding=1)",
        forward="x = self.c(nn.functional.interpolate(x, (2000, 2000)))[:, :, :8, :8]",
    )
    found = evaluate(executor, make_job(code))
    assert found.verdict is Verdict.TOO_LARGE
    assert "36,002,368 multiply-accumulates per image; the limit is 20,000,000" in found.reason


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ("x = x * float('nan')", "the loss became nan at step 1, epoch 1"),
        ("x = x * float('inf')", "the loss became nan at step 1, epoch 1"),
        ("x = x if self.training else x * float('nan')", "answers NaN or infinity"),
    ],
)
def test_numbers_that_run_away(executor: Executor, training: str, reason: str) -> None:
    found = evaluate(executor, make_job(network(training=training)))
    assert found.verdict is Verdict.DIVERGED
    assert reason in found.reason


@pytest.mark.parametrize(
    "training",
    ["bytearray(8 * 2**30)", "torch.ones(2 * 2**30)", "[bytes(2**20) for _ in range(9000)]"],
)
def test_a_memory_bomb(executor: Executor, training: str) -> None:
    found = evaluate(executor, make_job(network(training=training)))
    assert found.verdict is Verdict.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ("os._exit(0)", "ended with status 0 before it answered"),
        ("os._exit(7)", "ended with status 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os.abort()", "killed by SIGABRT"),
    ],
)
def test_a_process_that_leaves(executor: Executor, training: str, reason: str) -> None:
    found = evaluate(executor, make_job(network(training=training)))
    assert found.verdict is Verdict.KILLED
    assert reason in found.reason


def test_the_next_candidate_is_not_affected(executor: Executor) -> None:
    before = evaluate(executor, make_job(network()))
    vandal = network(
        init="torch.Tensor.sum = nn.Linear.forward = lambda *_: 1/0; os.environ['X'] = 'y'"
    )
    assert evaluate(executor, make_job(vandal)).verdict is Verdict.SHAPE
    zeroing = "[t.zero_() for t in gc.get_objects() if type(t) is torch.Tensor and not t.is_meta]"
    evaluate(executor, make_job("import gc\n" + network(training=zeroing)))
    assert evaluate(executor, make_job(network())).curve == before.curve


@pytest.mark.parametrize(
    "lines",
    [
        {"init": "self.to('cpu'); self.cuda()"},
        {"init": "int(torch.linspace(0, 1, 5)[2].item())"},
        {"forward": "x = x if x.mean() > -9 else x"},
        {"forward": "x = torch.from_numpy(x.detach().numpy())"},
        {"init": "self.n = nn.LazyBatchNorm2d()", "forward": "x = self.n(x)"},
        {"forward": "print('x' * 10**7)"},
        {"forward": "return self.layers(x).double() * 1e6"},
    ],
)
def test_habits_that_must_not_fail_a_network(executor: Executor, lines: dict[str, str]) -> None:
    found = evaluate(executor, make_job(network(**lines)))
    assert found.verdict is Verdict.TRAINED, found.reason


def test_a_recipe_may_offer_dropout(executor: Executor) -> None:
    code = network(init="self.drop = nn.Dropout(prm['dropout'])")
    refused = evaluate(executor, make_job(code, epochs=0))
    assert refused.verdict is Verdict.BUILD
    offered = make_job(code, epochs=0, recipe=replace(RECIPE, dropout=0.2))
    assert evaluate(executor, offered).verdict is Verdict.TRAINED


def test_a_recipe_may_hand_over_complex_images(executor: Executor) -> None:
    code = network(forward="assert x.dtype == torch.complex64; x = x.real")
    job = make_job(code, recipe=replace(RECIPE, scaling="complex"))
    assert evaluate(executor, job).verdict is Verdict.TRAINED
    refused = evaluate(executor, replace(job, code=network()))
    assert refused.verdict is Verdict.SHAPE
    assert "of torch.complex64; it must be (2, 10) of floating point" in refused.reason


def test_scaling_reaches_the_network(executor: Executor) -> None:
    code = network(forward="assert x.is_meta or x.min() == 0 and x.max() == 1; x = x - 0.5")
    echo = make_job(code, recipe=replace(RECIPE, scaling="echo"))
    assert evaluate(executor, echo).verdict is Verdict.TRAINED
    assert evaluate(executor, make_job(code)).verdict is Verdict.SHAPE


@pytest.mark.parametrize("batch", [1136, 5000])
def test_a_last_batch_of_one_image_is_left_out(executor: Executor, batch: int) -> None:
    code = network(
        init="self.n = nn.BatchNorm1d(1)",
        forward="x = x + self.n(x.mean((2, 3)))[:, :, None, None]",
    )
    found = evaluate(executor, make_job(code, recipe=replace(RECIPE, batch=batch)))
    assert found.verdict is Verdict.TRAINED, found.reason


@pytest.mark.parametrize(
    ("forward", "dependent"),
    [
        ("pass", False),
        ("x = (x - x.mean(0)) / (x.std(0) + 1)", True),
        ("x = nn.functional.dropout(x, 0.5)", True),  # also random in evaluation
    ],
)
def test_answers_that_depend_on_the_batch_are_marked(
    executor: Executor, forward: str, dependent: bool
) -> None:
    found = evaluate(executor, make_job(network(forward=forward)))
    assert found.verdict is Verdict.TRAINED
    assert found.batch_dependent is dependent


def test_a_graph_is_told_to_who_asks_and_is_the_same_in_every_process(executor: Executor) -> None:
    job = make_job(network(), epochs=0)
    assert evaluate(executor, job).graph is None
    one, again, trained, other = (
        evaluate(executor, replace(each, trace=True))
        for each in (
            job,
            replace(job, code=network().replace("self.layers", "self.all"), seed=5),
            replace(job, epochs=1),
            replace(job, code=network(init="nn.ReLU = nn.GELU")),
        )
    )
    assert one.graph == again.graph == trained.graph
    assert None not in (one.graph, other.graph)
    assert one.graph != other.graph


def test_what_was_checked_before_is_trained_at_once(executor: Executor) -> None:
    job = make_job(network())
    checked = replace(
        evaluate(executor, replace(job, epochs=0)), parameters=7, macs=9, graph="a" * 32
    )
    found = evaluate(executor, replace(job, checked=checked))
    assert (found.parameters, found.macs, found.graph) == (7, 9, "a" * 32)
    assert found.proxy_accuracy == evaluate(executor, job).proxy_accuracy
    failed = replace(checked, verdict=Verdict.SHAPE, reason="9 of 10")
    assert evaluate(executor, replace(job, checked=failed)) == failed
