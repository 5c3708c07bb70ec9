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
    for found in BOUNDARY.finditer(text):
        if not _ends(text, found):
            continue
        if found.end() > place:
            end = found.end()
            break
        start = found.end()
    return text[start:end].strip()


def split(text: str) -> list[str]:
    """Return the sentences of a text."""
    ends = [found.end() for found in BOUNDARY.finditer(text) if _ends(text, found)]
    cut = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [sentence for sentence in cut if sentence]


def _ends(text: str, found: re.Match[str]) -> bool:
    """Return whether a mark ends a sentence."""
    if text[found.start()] != "." or "\n" in found[0]:
        return True
    before = text[max(0, found.start() - 20) : found.start()].split()
    word = before[-1].lstrip("\"'“‘([") if before else ""
    initial = len(word) == 1 and word.isalpha()
    after = text[found.end() : found.end() + 1]
    return not (initial or "." in word or ABBREVIATIONS.fullmatch(word) or after.islower())
