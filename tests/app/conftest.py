"""Makes tests/video's maker of small files importable here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "video"))
