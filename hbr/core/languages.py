"""What is known of each language: how much text there is, its script, its family.

So that any comparison of results can be grouped by these, and a pair of languages by how far
apart the two are. The table holds the languages of CC-100, XTREME-R (with XQuAD-R), MIRACL,
Crossmodal-3600, LaBSE and the Tatoeba test set of LASER; a language it lacks is "unknown", which
is no error.

Sizes: GiB in CC-100, arXiv 1911.02116, table 6, which is what XLM-R was trained on (the corpus
published later holds some more languages). Simplified and traditional Chinese are summed, so are
Burmese in Unicode and in Zawgyi; romanised text is left out. "-": not in it.

Script: the likely one after Unicode's CLDR. Serbian, Uzbek, Kurdish and Tatar are written in others
too: two thirds of the Tatoeba test set's Serbian are in Latin letters.

Family: the branch of Indo-European or Afro-Asiatic, else the top-level family, after Glottolog 5.1
with the more common names (niger-congo, kra-dai). Creoles stand with the language most of their
words come from, Latin with its daughters, and planned languages together as "constructed".
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

from hbr.core.registry import near

HIGH, MID = 20.0, 1.0  # GiB; ours: other works draw the lines elsewhere
DISTANCES = ("same language", "same family and script", "same family or script", "neither")
BY = ("language", "resource", "script", "family", "seen", "distance")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Language:
    """A language as experiments see it."""

    code: str  # as data sets write it: ISO 639-1 where there is one, else 639-3
    iso3: str  # ISO 639-3; that of the macrolanguage where there is one
    name: str  # in English
    script: str
    family: str
    cc100_gib: float | None
    resource: str  # high, mid or low


def language(code: str) -> Language | None:
    """Return the language that a code of ISO 639-1 or 639-3 means, None where the table lacks it.

    Upper and lower case are the same. Of `zh-TW`, `pt_BR` or `srp_Latn` only the first part is
    read: the script is then still the usual one.
    """
    return _index().get(code.replace("_", "-").partition("-")[0].lower())


@cache
def languages() -> tuple[Language, ...]:
    """Return all languages: the table's, then the invented ones of the embedded data."""
    from hbr.data import synthetic  # here: it builds its grammars, and few need them

    real = [_parse(line) for line in _TABLE.strip().splitlines()]
    invented = [
        Language(l.code, l.code, l.name, l.script, l.family, None, _invented(l.resource))
        for l in synthetic.LANGUAGES.values()  # noqa: E741
    ]
    return (*real, *invented)


def distance(first: str, second: str) -> int | None:
    """Return how far apart two languages are: 0 to 3, as `DISTANCES` names them; None for unknown.

    A coarse order of our own making, from family and script alone: it is not a measured distance
    such as URIEL's, and the step from 1 to 2 need not be as long as that from 2 to 3.
    """
    one, other = language(first), language(second)
    if one is None or other is None:
        return None
    if one is other:
        return 0
    return 3 - (one.family == other.family) - (one.script == other.script)


def group(
    by: str, query: str, passage: str | None, seen: Collection[str] | None = None
) -> str | None:
    """Return the group that queries in one language, with passages in another or any, belong to.

    Where the two are different languages it is "low→high", from query to passage, also where both
    sides are alike ("high→high"). `seen` are the languages of training: being among them needs no
    table, so here alone a language that the table lacks has a group other than "unknown". None
    where the question makes no sense: "seen" without `seen`, "distance" without a passage
    language. Raises ValueError for a `by` not in `BY`.
    """
    if by not in BY:
        raise ValueError(f"there is no grouping by {by!r}{near(by, BY)}")
    if by == "language":
        return _pair(_canonical, query, passage)
    if by == "distance":
        return None if passage is None else _distance_name(query, passage)
    if by == "seen":
        if seen is None:
            return None
        trained = {_canonical(code) for code in seen}
        return _pair(lambda c: "seen" if _canonical(c) in trained else "unseen", query, passage)
    return _pair(lambda code: getattr(language(code), by, UNKNOWN), query, passage)


def known_labels(by: str) -> set[str]:
    """Return the labels that a language, or for `distance` a pair, may have in a grouping."""
    if by == "language":
        return {one.code for one in languages()}
    if by == "distance":
        return {*DISTANCES, UNKNOWN}
    if by == "seen":
        return {"seen", "unseen"}
    return {getattr(one, by) for one in languages()} | {UNKNOWN}


def _pair(label: Callable[[str], str], query: str, passage: str | None) -> str:
    if passage is None or _canonical(query) == _canonical(passage):
        return label(query)
    return f"{label(query)}→{label(passage)}"


def _distance_name(query: str, passage: str) -> str:
    steps = distance(query, passage)
    return UNKNOWN if steps is None else DISTANCES[steps]


def _canonical(code: str) -> str:
    found = language(code)
    return found.code if found else code.lower()


@cache
def _index() -> dict[str, Language]:
    index = {key: found for found in languages() for key in (found.code, found.iso3)}
    return index | {alias: index[code] for alias, code in ALIASES.items()}


def _parse(line: str) -> Language:
    code, iso3, script, family, size, name = line.split(maxsplit=5)
    gib = None if size == "-" else float(size)
    return Language(code, iso3, name, script, family, gib, _tier(gib))


def _tier(gib: float | None) -> str:
    if gib is None or gib < MID:
        return "low"
    return "high" if gib >= HIGH else "mid"


def _invented(resource: str) -> str:
    return "low" if resource == "unseen" else resource  # no text in training is little text


ALIASES = {  # the member of a macrolanguage that data sets mean by it; withdrawn and local codes
    **{"als": "sq", "arb": "ar", "azj": "az", "cmn": "zh", "ekk": "et", "gaz": "om", "khk": "mn"},
    **{"kmr": "ku", "lvs": "lv", "nb": "no", "nob": "no", "npi": "ne", "ory": "or", "pbt": "ps"},
    **{"pes": "fa", "plt": "mg", "swh": "sw", "uzn": "uz", "ydd": "yi", "zsm": "ms"},
    **{"fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jw": "jv", "kzj": "dtp"},
}
# code, ISO 639-3, script, family, GiB in CC-100, name. "ber" is a code of ISO 639-2 and -5 only.
_TABLE = """
af afr latin germanic 1.3 Afrikaans
am amh ethiopic semitic 0.8 Amharic
ang ang latin germanic - Old English
ar ara arabic semitic 28.0 Arabic
arq arq arabic semitic - Algerian Arabic
arz arz arabic semitic - Egyptian Arabic
as asm bengali indo-aryan 0.1 Assamese
ast ast latin romance - Asturian
awa awa devanagari indo-aryan - Awadhi
az aze latin turkic 6.5 Azerbaijani
be bel cyrillic slavic 4.3 Belarusian
ber ber latin berber - Berber
bg bul cyrillic slavic 57.5 Bulgarian
bn ben bengali indo-aryan 8.4 Bengali
bo bod tibetan sino-tibetan - Tibetan
br bre latin celtic 0.1 Breton
bs bos latin slavic 0.1 Bosnian
ca cat latin romance 10.1 Catalan
cbk cbk latin romance - Chavacano
ceb ceb latin austronesian - Cebuano
ch cha latin austronesian - Chamorro
co cos latin romance - Corsican
cs ces latin slavic 16.3 Czech
csb csb latin slavic - Kashubian
cy cym latin celtic 0.8 Welsh
da dan latin germanic 45.6 Danish
de deu latin germanic 66.6 German
dsb dsb latin slavic - Lower Sorbian
dtp dtp latin austronesian - Kadazan Dusun
el ell greek hellenic 46.9 Greek
en eng latin germanic 300.8 English
eo epo latin constructed 0.9 Esperanto
es spa latin romance 53.3 Spanish
et est latin uralic 6.1 Estonian
eu eus latin basque 2.0 Basque
fa fas arabic iranian 111.6 Persian
fi fin latin uralic 54.3 Finnish
fo fao latin germanic - Faroese
fr fra latin romance 56.8 French
fy fry latin germanic 0.2 Western Frisian
ga gle latin celtic 0.5 Irish
gd gla latin celtic 0.1 Scottish Gaelic
gl glg latin romance 2.9 Galician
gsw gsw latin germanic - Swiss German
gu guj gujarati indo-aryan 1.9 Gujarati
ha hau latin chadic 0.3 Hausa
haw haw latin austronesian - Hawaiian
he heb hebrew semitic 31.6 Hebrew
hi hin devanagari indo-aryan 20.2 Hindi
hmn hmn latin hmong-mien - Hmong
hr hrv latin slavic 20.5 Croatian
hsb hsb latin slavic - Upper Sorbian
ht hat latin romance - Haitian Creole
hu hun latin uralic 58.4 Hungarian
hy hye armenian armenian 5.5 Armenian
ia ina latin constructed - Interlingua
id ind latin austronesian 148.3 Indonesian
ie ile latin constructed - Interlingue
ig ibo latin niger-congo - Igbo
io ido latin constructed - Ido
is isl latin germanic 3.2 Icelandic
it ita latin romance 30.2 Italian
ja jpn japanese japonic 69.3 Japanese
jv jav latin austronesian 0.2 Javanese
ka kat georgian kartvelian 9.1 Georgian
kab kab latin berber - Kabyle
kk kaz cyrillic turkic 6.4 Kazakh
km khm khmer austroasiatic 1.5 Khmer
kn kan kannada dravidian 3.3 Kannada
ko kor hangul koreanic 54.2 Korean
ku kur latin iranian 0.4 Kurdish
kw cor latin celtic - Cornish
ky kir cyrillic turkic 1.2 Kyrgyz
la lat latin romance 2.5 Latin
lb ltz latin germanic - Luxembourgish
lfn lfn latin constructed - Lingua Franca Nova
lo lao lao kra-dai 0.6 Lao
lt lit latin baltic 13.7 Lithuanian
lv lav latin baltic 8.8 Latvian
max max latin austronesian - North Moluccan Malay
mg mlg latin austronesian 0.2 Malagasy
mhr mhr cyrillic uralic - Eastern Mari
mi mri latin austronesian - Maori
mk mkd cyrillic slavic 4.8 Macedonian
ml mal malayalam dravidian 7.6 Malayalam
mn mon cyrillic mongolic 3.0 Mongolian
mr mar devanagari indo-aryan 2.8 Marathi
ms msa latin austronesian 8.5 Malay
mt mlt latin semitic - Maltese
my mya burmese sino-tibetan 2.0 Burmese
nds nds latin germanic - Low German
ne nep devanagari indo-aryan 3.8 Nepali
nl nld latin germanic 29.3 Dutch
nn nno latin germanic - Norwegian Nynorsk
no nor latin germanic 49.0 Norwegian
nov nov latin constructed - Novial
ny nya latin niger-congo - Nyanja
oc oci latin romance - Occitan
om orm latin cushitic 0.1 Oromo
or ori odia indo-aryan 0.6 Odia
orv orv cyrillic slavic - Old Russian
pa pan gurmukhi indo-aryan 0.8 Punjabi
pam pam latin austronesian - Kapampangan
pl pol latin slavic 44.6 Polish
pms pms latin romance - Piedmontese
ps pus arabic iranian 0.7 Pashto
pt por latin romance 49.1 Portuguese
qu que latin quechuan - Quechua
quz quz latin quechuan - Cusco Quechua
ro ron latin romance 61.4 Romanian
ru rus cyrillic slavic 278.0 Russian
rw kin latin niger-congo - Kinyarwanda
sa san devanagari indo-aryan 0.3 Sanskrit
sd snd arabic indo-aryan 0.4 Sindhi
si sin sinhala indo-aryan 3.6 Sinhala
sk slk latin slavic 23.2 Slovak
sl slv latin slavic 10.3 Slovenian
sm smo latin austronesian - Samoan
sn sna latin niger-congo - Shona
so som latin cushitic 0.4 Somali
sq sqi latin albanian 5.4 Albanian
sr srp cyrillic slavic 9.1 Serbian
st sot latin niger-congo - Southern Sotho
su sun latin austronesian 0.1 Sundanese
sv swe latin germanic 85.0 Swedish
sw swa latin niger-congo 1.6 Swahili
swg swg latin germanic - Swabian
ta tam tamil dravidian 12.2 Tamil
te tel telugu dravidian 4.7 Telugu
tg tgk cyrillic iranian - Tajik
th tha thai kra-dai 71.7 Thai
tk tuk latin turkic - Turkmen
tl tgl latin austronesian 3.1 Tagalog
tr tur latin turkic 20.9 Turkish
tt tat cyrillic turkic - Tatar
tzl tzl latin constructed - Talossan
ug uig arabic turkic 0.4 Uyghur
uk ukr cyrillic slavic 84.6 Ukrainian
ur urd arabic indo-aryan 5.7 Urdu
uz uzb latin turkic 0.7 Uzbek
vi vie latin austroasiatic 137.3 Vietnamese
war war latin austronesian - Waray
wo wol latin niger-congo - Wolof
wuu wuu han sino-tibetan - Wu Chinese
xh xho latin niger-congo 0.1 Xhosa
yi yid hebrew germanic 0.3 Yiddish
yo yor latin niger-congo - Yoruba
yue yue han sino-tibetan - Cantonese
zh zho han sino-tibetan 63.5 Chinese
zu zul latin niger-congo - Zulu
"""
