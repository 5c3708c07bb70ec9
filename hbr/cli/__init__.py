"""The command line: one file a command; heavy imports stand inside the functions."""

from hbr.cli.app import main

__all__ = ["main"]
