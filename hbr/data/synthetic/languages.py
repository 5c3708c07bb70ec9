"""The invented languages: their grammars, from `languages.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

PIVOT = "qaa"  # the lingua franca, which plays the part of English


@dataclass(frozen=True)
class Language:
    """A grammar: how the concepts of a clause become one sentence of text."""

    code: str  # ISO 639 private use
    name: str
    family: str
    script: str
    resource: str  # high, low: few training rows, unseen: in evaluation and raw text only
    order: str  # of the slots of a clause
    marking: str  # of case: by "particle", "suffix" or "prefix"
    head_final: bool = False  # modifiers, owners and family names first; particles last
    fronting: bool = False  # moves the question phrase to the front
    asking: bool = False  # closes a question with a particle
    ending: str = ""  # native ending of names that end in a consonant
    own_words: float = 0.0  # share of the words that are no cognates of its sisters'
    changes: Sequence[Sequence[str]] = ()  # regular sound changes since the proto-language

    @property
    def space(self) -> str:
        """What stands between words."""
        return "" if self.script == "kana" else " "


def read_yaml(name: str) -> Any:
    """Return what a file of this package holds."""
    return yaml.safe_load((files("hbr.data.synthetic") / name).read_text(encoding="utf-8"))


LANGUAGES = {entry["code"]: Language(**entry) for entry in read_yaml("languages.yaml")}
TRAINED = tuple(code for code, one in LANGUAGES.items() if one.resource != "unseen")
