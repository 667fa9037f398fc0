"""HR-Pro: point-supervised temporal action localization by hierarchical reliability propagation."""

import os

__version__ = "0.1.0"

# Threads that wait by spinning make training ten times as slow as soon as anything else wants a processor, and a
# browser does. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
