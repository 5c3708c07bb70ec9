"""Latin letters written in other scripts, by letter or by syllable."""

import re

VOWELS = "aeiou"
CONSONANTS = "ptkbdgmnszrlvfhy"
_LETTERS = {
    script: str.maketrans(dict(zip(CONSONANTS + VOWELS, letters.split(), strict=True)))
    for script, letters in (
        ("cyrillic", "п т к б д г м н с з р л в ф х й а е и о у"),
        ("greek", "π τ κ μπ δ γ μ ν σ ζ ρ λ β φ χ γι α ε ι ο ου"),
    )
}
_KANA = (  # each consonant with a e i o u; the script has no l, v or f of its own
    "ぱぺぴぽぷ", "たてちとつ", "かけきこく", "ばべびぼぶ", "だでぢどづ", "がげぎごぐ",
    "まめみもむ", "なねにのぬ", "させしそす", "ざぜじぞず", "られりろる", "られりろる",
    "ばべびぼぶ", "はへひほふ", "はへひほふ", "やえいよゆ",
)  # fmt: skip


def spell(form: str, script: str) -> str:
    """Return Latin letters written in another script, by letter or by syllable."""
    if script == "latin":
        return form
    if script in _LETTERS:
        return form.translate(_LETTERS[script])
    write = {"devanagari": _devanagari, "ethiopic": _ethiopic, "kana": _kana}[script]
    syllables = re.findall(rf"([{CONSONANTS}]?)([{VOWELS}]?)", form)
    return "".join(write(consonant, vowel) for consonant, vowel in syllables)


def _devanagari(consonant: str, vowel: str) -> str:
    if not consonant:
        return dict(zip("aeiou", "अएइओउ", strict=True)).get(vowel, "")
    signs = {"a": "", "e": "े", "i": "ि", "o": "ो", "u": "ु", "": "्"}
    return dict(zip(CONSONANTS, "पतकबदगमनसजरलवफहय", strict=True))[consonant] + signs[vowel]


def _ethiopic(consonant: str, vowel: str) -> str:
    rows = dict(zip(CONSONANTS, "ፐተከበደገመነሰዘረለቨፈሀየ", strict=True)) | {"": "አ"}
    order = {"u": 1, "i": 2, "a": 3, "e": 4, "": 5, "o": 6}[vowel]
    return chr(ord(rows[consonant]) + order) if consonant + vowel else ""


def _kana(consonant: str, vowel: str) -> str:
    if not vowel:
        return "ん" if consonant == "n" else _kana(consonant, "u") if consonant else ""
    return dict(zip(CONSONANTS, _KANA, strict=True)).get(consonant, "あえいおう")[
        VOWELS.index(vowel)
    ]
