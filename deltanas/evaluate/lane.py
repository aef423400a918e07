"""One lane of an executor: runs jobs in a worker, and tells a sick worker from a bad network."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, replace

from deltanas.evaluate.channel import Limits, Report, frame, receive, receive_message
from deltanas.evaluate.images.image_data import ImageData
from deltanas.evaluate.inside.tiny import TINY, TINY_RECIPE
from deltanas.evaluate.score import score
from deltanas.evaluate.worker import Zygote
from deltanas.records import Evaluation, Job, Loop, Verdict

GRACE_S = 30.0  # how much longer than its child a worker may take to report
TRIES = 2  # workers that get a job, one after the other, until one of them proves to be fit
OVERWORK = 1.5  # CPU time of a network's own loop, by that of the steps that it is asked for
MEASUREMENTS = 2  # how often that is looked at before a network is marked

# A sick machine looks like this, and so does a bad network. Time limits are among it: a machine
# that hangs or is crowded out shows in no other way, and after a time limit a canary, which stays
# below it, costs little more. What a process says of itself is not: a machine does not err so.
_SUSPICIOUS = frozenset({Verdict.KILLED, Verdict.OUT_OF_MEMORY, Verdict.TIMED_OUT})
_DEVICE_SIGN = "CUDA error"  # once there is one, everything fails on that device


class Lane:
    """Runs one job at a time, and replaces its worker process when that dies or is sick."""

    def __init__(self, zygote: Zygote, data: ImageData, limits: Limits) -> None:
        self._zygote = zygote
        self._data = data
        self._limits = limits
        self._connection: socket.socket | None = None

    def evaluate(self, job: Job) -> Evaluation:
        """Run one job and score it. Raises ZygoteError when no worker can be had.

        A suspicious end is the network's own only if the job's canary then trains in the same
        worker. Otherwise the job is repeated in a new one, at last with verdict INFRASTRUCTURE.
        """
        faults = []
        for _ in range(TRIES):
            try:
                found = self._scored(job)
                if not is_suspicious(found):
                    return found
                canary = self._run(canary_of(job))
            except OSError:
                faults.append("the worker process died")
            else:
                if canary.verdict is Verdict.TRAINED:
                    return found
                faults.append(
                    f"{found.reason}, but then the {'baseline' if job.canary else 'trial network'}"
                    f" failed too, {canary.verdict}: {canary.reason}"
                )
            self.close()
        return Evaluation(
            job_id=job.job_id,
            verdict=Verdict.INFRASTRUCTURE,
            reason=f"none of {TRIES} workers could tell: {'; '.join(faults)}",
            graph=job.checked.graph if job.checked else None,
        )

    def close(self) -> None:
        """Leave the worker process, which then ends; the next job gets a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _scored(self, job: Job) -> Evaluation:
        """Count a network in one process and, if it passes the check, train it in another.

        What training did to a process, or what it says of itself afterwards, changes no size.
        """
        check = replace(job, epochs=0, keep_weights=False, weights=b"")
        checked = job.checked or self._run(check)
        if not job.epochs or checked.verdict is not Verdict.TRAINED:
            return checked
        trained = self._trained(job)
        return replace(
            trained,
            parameters=checked.parameters,
            macs=checked.macs,
            graph=checked.graph,
            seconds=checked.seconds + trained.seconds,
            cpu_seconds=(checked.cpu_seconds or 0.0) + (trained.cpu_seconds or 0.0),
            memory_bytes=max(checked.memory_bytes or 0, trained.memory_bytes or 0),
        )

    def _trained(self, job: Job) -> Evaluation:
        """Train a network; in its own loop, mark it where that takes more CPU time than it may.

        A `learn` that goes over the batches again learns more than it was asked to, and nothing
        inside its process can be trusted to tell. So the kernel's account of the process decides,
        against that of another process, which takes one epoch's steps with the same network in
        our loop: `learn` never runs there. It comes first, and both are repeated before a network
        is marked, as a busy machine may slow one process down, but hardly the same one twice.
        Only a network that wastes time in our loop could buy some for its own; there the policy
        and the limits stand.
        """
        if job.loop != Loop.own or job.weights:
            return self._run(job)
        for _ in range(MEASUREMENTS):
            steps = replace(job, loop=Loop.calibration, epochs=1, keep_weights=False)
            expected = self._run(steps)
            if expected.verdict not in (Verdict.TRAINED, Verdict.DIVERGED):
                return expected
            trained = self._run(job)
            most = OVERWORK * job.epochs * (expected.cpu_seconds or 0.0)
            if trained.proxy_accuracy is None or (trained.cpu_seconds or 0.0) <= most:
                return trained
        return replace(trained, overworked=True)

    def _run(self, job: Job) -> Evaluation:
        """Run a job once. Raises OSError when the worker dies."""
        if self._connection is None:
            self._connection = self._zygote.open_worker()
        report, output = self._exchange(self._connection, job)
        return score(job, report, output, self._data, self._limits)

    def _exchange(self, connection: socket.socket, job: Job) -> tuple[Report, bytes]:
        # no network knows a canary's job
        nameless = asdict(replace(job, job_id="", canary="", checked=None, weights=b""))
        connection.settimeout(GRACE_S)
        connection.sendall(frame(nameless | {"weights": len(job.weights)}, job.weights))
        deadline = time.monotonic() + self._limits.for_epochs(job.epochs).timeout_s + GRACE_S
        report = Report(**receive_message(connection, deadline=deadline))
        return report, receive(connection, report.output_bytes, deadline=deadline)


def is_suspicious(found: Evaluation) -> bool:
    """Tell whether a job ended as it would in a sick worker too."""
    return found.verdict in _SUSPICIOUS or _DEVICE_SIGN in found.reason


def canary_of(job: Job) -> Job:
    """Return the job that must succeed in a healthy worker.

    It is an epoch of the network that the job's was made from, or of a tiny one where there is
    none, as for the baselines themselves.
    """
    name, epochs = f"{job.job_id} canary", min(job.epochs, 1)
    if job.canary:
        plain = replace(job, canary="", checked=None, keep_weights=False, weights=b"")
        return replace(plain, job_id=name, code=job.canary, epochs=epochs)
    return Job(job_id=name, code=TINY, recipe=TINY_RECIPE, dataset=job.dataset, epochs=epochs)
