"""hbr: hybrid batch retrieval, an experiment runner for multilingual dense retrieval.

What Python has of it is imported when it is first named; `__init__.pyi` has the types.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = (
    *("Comparison", "Evaluation", "Run", "Study"),
    *("compare", "evaluate", "load", "train"),  # `compare` is a package that can be called
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hbr' has no attribute {name!r}")
    if name == "compare":
        return importlib.import_module("hbr.compare")
    return getattr(importlib.import_module("hbr.experiments.api"), name)
