"""Training rows tokenized for an encoder, once."""

from hbr.core import distributed
from hbr.core.digests import fingerprint
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Encoder as EncoderSettings
from hbr.core.store import Store
from hbr.data.rows import Rows
from hbr.data.tokens import Tokens, open_tokens, write_tokens
from hbr.models.encoder import Encoder
from hbr.models.loading import reset_tokenizer
from hbr.models.sources import LENGTHS, PROMPTS

CUT = {  # what its own file does not say of a tokenizer, and what it mostly is
    "truncation_side": "right",
    "split_special_tokens": False,
}
BATCH = 4_000  # texts between signs of progress
DECIDING = {*PROMPTS, *LENGTHS}


def tokenize_rows(store: Store, rows: Rows, encoder: Encoder, settings: EncoderSettings) -> Tokens:
    """Return the tokens of the rows of a store, made once for a tokenizer, prompts and lengths."""

    def tokenize(role: str, texts: list[str]) -> list[list[int]]:
        prompt, max_length = settings.inputs(role)
        prompted = [prompt + text for text in texts]
        title, token_ids = f"tokenizing {rows.name}, {role} texts", list[list[int]]()
        with Progress(title, len(texts), "texts") as progress:
            for at in range(0, len(texts), BATCH):
                token_ids += encoder.tokenize(prompted[at : at + BATCH], max_length)
                progress.advance(len(token_ids) - progress.done)
        if not all(token_ids):
            text = texts[[len(ids) for ids in token_ids].index(0)]
            raise UserError(f"a {role}, {text!r}, has no tokens in this encoder: leave it out")
        return token_ids

    reset_tokenizer(encoder.tokenizer)  # its state is part of the fingerprint
    key = settings.model_dump(mode="json", include=DECIDING) | {
        "tokenizer": fingerprint(encoder.tokenizer.backend_tokenizer.to_str()),
        "longest": encoder.max_seq_length,
    }
    cut = {name: getattr(encoder.tokenizer, name) for name in CUT}
    key |= {name: value for name, value in cut.items() if value != CUT[name]}
    stage = f"tokens-{fingerprint(key, 8)}"
    inputs = {"rows": store.completion("rows")}
    distributed.fill_together(
        lambda fill: store.build(stage, fill, settings=key, inputs=inputs),
        lambda folder: write_tokens(folder, rows, tokenize),
    )
    encoder.log_clipped(store.path.name)
    return open_tokens(store.path / stage)
