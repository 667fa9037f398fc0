"""Pools of worker processes that exit together with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext
from typing import Any

from hrpro.errors import InputError

MAX_WORKERS = 256
# Spawn: a fork would copy the parent's threads in whatever state they are.
CONTEXT: SpawnContext = multiprocessing.get_context("spawn")


@contextlib.contextmanager
def worker_pool(workers: int, initializer: Callable[..., None] | None = None, *arguments: Any
                ) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes; leaving the block drops work that has not started.

    The workers exit when this process does, even if it is killed.

    Args:
        workers: Number of processes.
        initializer: Called in each worker with `arguments`.
    """
    with ProcessPoolExecutor(workers, CONTEXT, _start_worker, (initializer, arguments)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def worker_count(workers: int | None) -> int:
    """Check a requested number of processes; None means one per processor.

    Raises:
        InputError: The number is not between 1 and MAX_WORKERS.
    """
    if workers is None:
        return min(os.cpu_count() or 1, MAX_WORKERS)
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"workers={workers}: must be 1 to {MAX_WORKERS}. Leave it out for one process per processor.")
    return workers


def _start_worker(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer:
        initializer(*arguments)


def _end_with_parent() -> None:
    """Kill this process once its parent is gone, which closes the pipe that the parent keeps open for it.

    Nothing else would end a worker: the queue on which it waits for work is held open by its siblings too.
    """
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
