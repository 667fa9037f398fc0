"""Where tests find material that is not the project's own."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared material: beside the repository, or where HRPRO_SHARED points."""
    path = Path(os.environ.get("HRPRO_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"shared material is not at {path}; set HRPRO_SHARED")
    return path


@pytest.fixture(scope="session")
def reference(shared) -> Path:
    """Inputs with the published program's outputs."""
    return shared / "golden" / "reference"
