"""Where sentences end, by their marks alone: good enough to cut a passage around an answer."""

import re

BOUNDARY = re.compile(r"""[.!?…؟۔।॥]["'”’»)\]]*\s+|[。！？]["'”’」』）]*|\n+""")
ABBREVIATIONS = re.compile(
    "(mr|mrs|ms|dr|prof|st|mt|jr|sr|vs|etc|no|vol|gen|col|lt|sgt|capt|gov|sen|rep|rev|hon|inc|corp|"
    "co|ltd|ca|cf|fig|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)",
    re.IGNORECASE,
)


def sentence_at(text: str, place: int) -> str:
    """Return the sentence that holds a place in a text.

    A full stop behind an abbreviation, an initial or before a small letter ends none. Scripts
    without marks (Thai) give the whole paragraph.
    """
    start, end = 0, len(text)
    for mark in BOUNDARY.finditer(text):
        if not _ends(text, mark):
            continue
        if mark.end() > place:
            end = mark.end()
            break
        start = mark.end()
    return text[start:end].strip()


def split(text: str) -> list[str]:
    """Return the sentences of a text."""
    ends = [mark.end() for mark in BOUNDARY.finditer(text) if _ends(text, mark)]
    cut = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [sentence for sentence in cut if sentence]


def _ends(text: str, mark: re.Match[str]) -> bool:
    """Return whether a mark ends a sentence."""
    if text[mark.start()] != "." or "\n" in mark[0]:
        return True
    before = text[max(0, mark.start() - 20) : mark.start()].split()
    word = before[-1].lstrip("\"'“‘([") if before else ""
    initial = len(word) == 1 and word.isalpha()
    after = text[mark.end() : mark.end() + 1]
    return not (initial or "." in word or ABBREVIATIONS.fullmatch(word) or after.islower())
