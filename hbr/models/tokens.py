"""Training rows tokenised for an encoder, once."""

from hbr.core.settings import Encoder as EncoderConfig
from hbr.core.store import Store, fingerprint
from hbr.data.rows import Rows, Tokens, open_tokens, write_tokens
from hbr.models.encoders import Encoder, forget_truncation


def tokens(store: Store, data: Rows, encoder: Encoder, settings: EncoderConfig) -> Tokens:
    """Tokenise rows once for an encoder's tokenizer, prefixes and lengths."""

    def tokenize(role: str, texts: list[str]) -> list[list[int]]:
        if role == "query":
            prefixed = [settings.query_prompt + text for text in texts]
            return encoder.tokenize(prefixed, settings.query_max_seq_length)
        prefixed = [settings.passage_prompt + text for text in texts]
        return encoder.tokenize(prefixed, settings.passage_max_seq_length)

    forget_truncation(encoder.tokenizer)  # else what was tokenised before would be in its name
    wanted = {"query_prompt", "passage_prompt", "query_max_seq_length", "passage_max_seq_length"}
    chosen = settings.model_dump(mode="json", include=wanted) | {
        "tokenizer": fingerprint(encoder.tokenizer.backend_tokenizer.to_str()),
        "longest": encoder.longest,
    }
    stage = f"tokens-{fingerprint(chosen, 8)}"
    store.build(
        stage,
        lambda folder: write_tokens(folder, data, tokenize),
        settings=chosen,
        inputs={"rows": store.completion("rows")},
        wait=True,
    )
    return open_tokens(store.path / stage)
