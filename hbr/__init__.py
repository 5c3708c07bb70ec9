"""hbr: hybrid batch retrieval, an experiment runner for multilingual dense retrieval."""

__version__ = "0.1.0"
