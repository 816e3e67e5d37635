"""The version of the package, for what needs it without the Python API."""

__version__ = "0.1.0"
