"""Names from data cannot give orders to a terminal, a spreadsheet or a page."""

from hbr.core.errors import printable
from hbr.report.formats.markdown import escape
from hbr.report.formats.values import _no_formula


def test_a_terminal_sees_no_escapes():
    assert printable("\x1b[31mde\x9b2J\u202e") == "�[31mde�2J�"
    assert printable("größer\n\tñ ✓") == "größer\n\tñ ✓"


def test_markdown_keeps_its_cells_and_starts_no_html():
    assert escape("a|b") == r"a\|b"
    assert escape("<script>x</script>") == "&lt;script>x&lt;/script>"
    assert escape("p < .001, <u>.5</u>") == "p < .001, <u>.5</u>"


def test_a_spreadsheet_sees_no_formula():
    assert _no_formula("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert _no_formula("hybrid") == "hybrid"
