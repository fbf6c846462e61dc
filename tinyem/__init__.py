"""tinyem: watch emergent misalignment happen on a laptop, measure it, explain it, undo it."""

__version__ = "0.1.0"
