"""Jobs on a cluster, through Ray: one GPU or a share of a machine's cores for each.

All machines see the workspace, the videos and the report's folder under the same names, as on a
shared disk. A job runs inside its worker, so what becomes of the worker becomes of the job.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from pirctl.batch.places import Order, Running
from pirctl.errors import SettingsError

Main = Callable[[list[str]], int]
"""Takes a command line of pirctl, and gives its exit status."""

LOCAL = "auto"
"""In place of an address: a cluster of this machine, for as long as the batch runs."""

_KILLED = -9
_CONNECT_S = 10.0


class Cluster:
    """The workers of a Ray cluster.

    Args:
        address: of the cluster, as Ray writes it; `LOCAL` starts one.
        main: what a worker calls.
        parallel: jobs at a time; None: one a GPU, or one a machine where there is none.
        on_cpu: whether all jobs compute on the CPU.

    Raises:
        SettingsError: Ray is not installed, there is no cluster at the address, or it is too small.
    """

    def __init__(
        self, address: str, main: Main, parallel: int | None = None, *, on_cpu: bool = False
    ) -> None:
        self._ray = _connect(address, parallel)
        self._main = main
        resources = self._ray.cluster_resources()
        gpus = 0 if on_cpu else int(resources.get("GPU", 0))
        machines = [node for node in self._ray.nodes() if node["Alive"]]
        cores = [int(node["Resources"].get("CPU", 0)) for node in machines]
        self.parallel = parallel or gpus or len(machines)
        if gpus:
            self._needs = {"num_gpus": 1, "num_cpus": 1}
        else:
            a_machine = -(-self.parallel // max(1, len(machines)))
            self._needs = {"num_gpus": 0, "num_cpus": max(1, min(cores, default=1) // a_machine)}

    def start(self, order: Order) -> Running:
        """Hand a job to the cluster, which finds a worker for it."""
        # A process for each job: threads and GPUs are chosen once in its life. Trying again is
        # the batch's affair.
        remote = self._ray.remote(max_calls=1, max_retries=0, **self._needs)(_work)
        return _Remote(self._ray, remote.remote(self._main, order))

    def close(self) -> None:
        """Leave the cluster; one of this machine ends."""
        self._ray.shutdown()


class _Remote:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray = ray
        self._reference = reference
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            ready, _ = self._ray.wait([self._reference], timeout=0)
            if ready:
                try:
                    self._status = int(self._ray.get(ready[0]))
                except self._ray.exceptions.RayTaskError:
                    raise  # A log that cannot be written.
                except self._ray.exceptions.RayError:
                    # The worker, its machine or its memory is gone.
                    self._status = _KILLED
        return self._status

    def stop(self) -> None:
        self._ray.cancel(self._reference, force=False)

    def kill(self) -> None:
        self._ray.cancel(self._reference, force=True)


def _connect(address: str, parallel: int | None) -> Any:
    # No news of a user's work to anybody; read when Ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "--ray needs Ray, which is not installed", hint="pip install 'pirctl[cluster]'"
        ) from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        # Without a number Ray takes the machine's cores.
        cores = max(parallel or 1, os.cpu_count() or 1)
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        options["address"] = address
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address != LOCAL:
            _check_answers(address)
        ray.init(**options)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise SettingsError(
            f"no Ray cluster at {address}: {first}",
            hint="ray start --head on its first machine says the address; --ray auto needs none",
        ) from error
    if threading.current_thread() is threading.main_thread():
        # Ray's own ends the process before anything can be stopped.
        signal.signal(signal.SIGTERM, before)
    return ray


def _check_answers(address: str) -> None:
    """Raise unless something listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise ValueError("an address is HOST:PORT")
    socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


def _work(main: Main, order: Order) -> int:
    """One job, in a worker."""
    with (
        order.report.open("w", encoding="utf-8") as report,
        order.log.open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(report),
        redirect_stderr(log),
    ):
        try:
            return main(list(order.arguments))
        except Exception:  # A bug of ours; a process of its own would show it on its stderr too.
            traceback.print_exc()
            return 1
