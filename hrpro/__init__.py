"""HR-Pro: point-supervised temporal action localization by hierarchical reliability propagation."""

__version__ = "0.1.0"
