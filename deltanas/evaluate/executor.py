"""Where candidates are evaluated: a Protocol, and the executor that uses this machine's cores."""

from __future__ import annotations

import os
import queue
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType
from typing import Protocol, Self

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.images.image_data import ImageData
from deltanas.evaluate.jail.gpu import visible
from deltanas.evaluate.jail.tiers import Jailing, choose
from deltanas.evaluate.lane import Lane
from deltanas.evaluate.worker import Zygote, ZygoteError
from deltanas.records import Evaluation, Job, UserError, Verdict

OPEN_FILES = 128  # one worker takes fewer than 64, and with each GPU or tracker come some more
SICK_IN_A_ROW = 3  # jobs without a verdict on their network after which a machine is given up


class SickMachineError(UserError):
    """Job after job ends without a verdict on its network; the message holds the last reason."""


class Executor(Protocol):
    """Runs jobs outside this process and yields each outcome as it finishes.

    A context manager that closes itself.
    """

    def map(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """Yield one evaluation for every job, in the order in which they finish."""
        ...

    def jailings(self) -> tuple[Jailing, ...]:
        """Return which jail stands around jobs, one for each machine that runs them."""
        ...

    def close(self) -> None:
        """End every process at once; calling it again does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class LocalExecutor:
    """Evaluates on the cores or GPUs of this machine, one jailed process per job.

    The same job gives the same accuracies on one machine, whatever ran before or beside it; on a
    GPU, as far as its kernels have such a mode. Warming up starts at once, in another process.
    Raises ValueError for limits that cannot hold, JailError where there is no such jail, or no
    GPU for it, and ZygoteError where too few files may be open.
    """

    def __init__(
        self,
        data: ImageData,
        *,
        device: str = "cpu",  # or cuda
        workers: int | None = None,  # None: workers x threads = cores, or one for each GPU
        threads_per_worker: int = 1,
        jail: str = "auto",  # or a tier by name
        timeout_s: float = 600.0,
        memory_gb: float = 4.0,
        max_parameters: int,
        max_macs: int,
    ) -> None:
        _check_open_files()
        self._jailing = choose(jail)
        gpus = visible(self._jailing.tier) if device == "cuda" else []
        if workers is None:
            cores = max(1, len(os.sched_getaffinity(0)) // threads_per_worker)
            workers = min(cores, len(gpus) or cores)
        for name, value in (
            ("workers", workers),
            ("threads_per_worker", threads_per_worker),
            ("timeout_s", timeout_s),
            ("memory_gb", memory_gb),
            ("max_parameters", max_parameters),
            ("max_macs", max_macs),
        ):
            if value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        limits = Limits(
            timeout_s=timeout_s,
            memory_bytes=int(memory_gb * 2**30),
            threads=threads_per_worker,
            max_parameters=max_parameters,
            max_macs=max_macs,
        )
        self.workers = workers
        self._closed = False
        self._sick = 0  # jobs in a row, as they finished
        self._zygote = Zygote(data, limits, self._jailing.tier, gpus)
        self._idle: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(Lane(self._zygote, data, limits))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="evaluate")

    def map(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """Yield one evaluation for every job as it finishes; jobs are drawn just before they run.

        Raises ZygoteError when the worker processes cannot be started or the executor is closed,
        and SickMachineError in place of the third INFRASTRUCTURE in a row.
        """
        if self._closed:
            raise ZygoteError("the executor is closed")
        source = iter(jobs)
        pending: set[Future[Evaluation]] = set()
        try:
            while True:
                for job in islice(source, 2 * self.workers - len(pending)):
                    pending.add(self._threads.submit(self._evaluate, job))
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield self._checked(future.result())
        finally:
            for future in pending:
                future.cancel()

    def jailings(self) -> tuple[Jailing, ...]:
        """Return the jail of this machine."""
        return (self._jailing,)

    def close(self) -> None:
        """Kill every process of this executor at once; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._zygote.close()
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _evaluate(self, job: Job) -> Evaluation:
        lane = self._idle.get()
        try:
            return lane.evaluate(job)
        finally:
            self._idle.put(lane)

    def _checked(self, found: Evaluation) -> Evaluation:
        self._sick = self._sick + 1 if found.verdict is Verdict.INFRASTRUCTURE else 0
        if self._sick >= SICK_IN_A_ROW:
            raise SickMachineError(
                f"{self._sick} jobs in a row failed on this machine, and what had trained before"
                f" failed too; the last, {found.job_id}: {found.reason}. Free memory and cores, or"
                " raise protocol.timeout_s or protocol.memory_gb"
            )
        return found


def _check_open_files() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < OPEN_FILES:
        raise ZygoteError(
            f"a process may have {allowed} files open here, and at least {OPEN_FILES} are needed;"
            " `ulimit -n 1024` before the command raises that"
        )


class ExecutorPerSet:
    """One executor for each image set, started when the set is first trained on.

    Jobs of one set run together and the sets one after the other, in their order, so that no more
    than one executor's workers are busy. Implements `Executor`.
    """

    def __init__(
        self, data: Mapping[str, ImageData], start: Callable[[ImageData], LocalExecutor]
    ) -> None:
        """Keep the sets by the name that jobs give them; the first is started at once."""
        self._data, self._start = data, start
        self._started: dict[str, LocalExecutor] = {}
        self._closed = False
        self._of(next(iter(data)))

    def map(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """Yield one evaluation for every job as it finishes, set by set.

        Raises ZygoteError as the executors do, and KeyError for a set that is none of these.
        """
        waiting: dict[str, list[Job]] = {name: [] for name in self._data}
        for job in jobs:
            waiting[job.dataset].append(job)
        for dataset, own in waiting.items():
            if not own:
                continue
            yield from self._of(dataset).map(own)

    def jailings(self) -> tuple[Jailing, ...]:
        """Return the jail of every machine, which is the same for every image set."""
        return self._of(next(iter(self._data))).jailings()

    def close(self) -> None:
        """Kill every process at once; calling it again does nothing."""
        self._closed = True
        for executor in self._started.values():
            executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _of(self, dataset: str) -> LocalExecutor:
        if self._closed:
            raise ZygoteError("the executor is closed")
        if dataset not in self._started:
            self._started[dataset] = self._start(self._data[dataset])
        return self._started[dataset]
