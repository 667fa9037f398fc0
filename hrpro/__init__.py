"""HR-Pro: point-supervised temporal action localization by hierarchical reliability propagation."""

import os

__version__ = "0.1.0"

# OpenMP threads that spin while waiting make training ten times slower as soon as another process, such as a browser,
# needs a CPU. torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
