"""The page of `hbr serve`."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def search_page(dataset: str, languages: Sequence[str], runs: Sequence[str]) -> str:
    """Return the page as HTML; it needs nothing from outside but the server it came from."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("search.html.j2")
    return template.render(dataset=dataset, languages=list(languages), runs=list(runs))
