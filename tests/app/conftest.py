"""Data and run folders for the app."""

import contextlib
import os
import shutil
import signal

import pytest

from hrpro.jobs.background import jobs, status


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty dataset/ and ckpt/; jobs that a test leaves running there are killed."""
    data, ckpt = tmp_path / "dataset", tmp_path / "ckpt"
    data.mkdir()
    monkeypatch.setenv("HRPRO_DATA", str(data))
    monkeypatch.setenv("HRPRO_CKPT", str(ckpt))
    yield data, ckpt
    for job in jobs(ckpt):
        with contextlib.suppress(ProcessLookupError):
            if status(job).running:
                os.killpg(job.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Pages wait for the check of a data set, however slow the machine is."""
    monkeypatch.setattr("app.projects.PATIENCE", 60)
    monkeypatch.setattr("app.checks.checked.__defaults__", (60,))


@pytest.fixture
def world(trained_world, tmp_path, monkeypatch):
    """A copy of the trained world that a test may change."""
    world = shutil.copytree(trained_world, tmp_path / "world")
    monkeypatch.setenv("HRPRO_DATA", str(world / "dataset"))
    monkeypatch.setenv("HRPRO_CKPT", str(world / "ckpt"))
    return world
