"""Processes that tests watch. Each may end between any two questions about it."""

import psutil


def children(parent: int, word: str) -> list[psutil.Process]:
    """Living descendants of a process that have `word` on their command line."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if word in process.cmdline():
                found.append(process)
        except psutil.Error:                            # gone since it was listed, or a zombie
            pass
    return found


def gone(process: psutil.Process | int) -> bool:
    """Whether a process, or the one with this ID, has ended."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
