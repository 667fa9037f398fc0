"""Pools of worker processes that exit together with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
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

    The workers exit when this process does, even if it is killed. An exception in the block, such as the interrupt of a
    user, kills them at once: what they do must leave nothing half written.

    Args:
        workers: Number of processes.
        initializer: Called in each worker with `arguments`.
    """
    alive, owner = CONTEXT.Pipe(duplex=False)
    with alive, owner, _Pool(workers, CONTEXT, _start_worker, (alive, initializer, arguments)) as pool:
        try:
            yield pool
        except BaseException:
            owner.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    def submit(self, *arguments: Any, **more: Any) -> Future:
        """Submit with SIGINT blocked, as it then is in the workers that this starts: only the parent handles Ctrl-C.

        The thread of a library may receive the signal all the same, and Python would then interrupt this thread while
        it starts a worker. So the handlers wait too.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            with uninterrupted():
                return super().submit(*arguments, **more)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Handle SIGINT and SIGTERM at the end of the block. They only ever interrupt the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda received, _: held.append(received))
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in held[:1]:
            signal.raise_signal(number)


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


def _start_worker(alive: Connection, initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, args=[alive], daemon=True).start()
    if initializer:
        initializer(*arguments)


def _end_with_parent(alive: Connection) -> None:
    """Kill this process once its parent is gone or has closed the other end of `alive`.

    Nothing else would end a worker: the queue on which it waits for work is held open by its siblings too.
    """
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel, alive])
    os.kill(os.getpid(), signal.SIGKILL)
