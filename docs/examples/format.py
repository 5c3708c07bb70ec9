"""An output format: tables as a MediaWiki page."""

from hbr.report.formats import Format


def write(report, figures=()):
    """Return the report's tables as wikitext."""
    lines = []
    for table in report.tables:
        heads, *rows = table.lines()
        lines += [f"== {table.title} ==", '{| class="wikitable"', "! " + " !! ".join(heads)]
        for row in rows:
            lines += ["|-", "| " + " || ".join(row)]
        lines.append("|}")
    return "\n".join(lines) + "\n"


WIKI = Format("wiki", ".wiki", write)
