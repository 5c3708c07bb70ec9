"""An encoder with its prompts and lengths: texts in, vectors out, as evaluation has them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hbr.core.cores import map_on_cores
from hbr.core.errors import UserError
from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.models.backends import choose, compiled
from hbr.models.encoder import Encoder, token_batches
from hbr.models.loading import load
from hbr.models.precision import autocast, warn_slow_bf16
from hbr.models.prepacked import prepack


class Retriever:
    """Encodes queries and passages with the prompts, lengths and precision of a run's settings."""

    def __init__(
        self, encoder: Encoder, config: Config, device: torch.device | str, cache: Path
    ) -> None:
        """Make a retriever; another engine than torch keeps its export in the folder `cache`.

        Raises UserError for an engine that does not run here.
        """
        settings, self.device = config.encode, torch.device(device)
        self.encoder, self.config = encoder.to(self.device), config
        self.backend = choose(settings.backend, self.device, settings.precision)
        if self.backend == "torch":
            self._run = None
            self.encoder.use_unpadded(settings.unpadded)  # says so where it cannot
            warn_slow_bf16(self.device, settings.precision)
            prepack(self.encoder, settings.precision, settings.token_budget)
        else:
            self._run = compiled(self.backend, encoder, settings.precision, cache)

    @classmethod
    def open(cls, model: Path, config: Config, device: torch.device | str = "cpu") -> "Retriever":
        """Return the retriever of a model's folder."""
        encoder = load(model, normalize=config.encoder.normalize)
        return cls(encoder, config, device, model.parent / "exported")

    def encode_queries(
        self,
        texts: Sequence[str],
        language: str | None = None,  # noqa: ARG002 (for encoders that need it)
    ) -> np.ndarray:
        """Return the vectors of queries: (texts, width), float32.

        Raises UserError for a text that has no tokens.
        """
        return self.encode("query", texts)

    def encode_passages(
        self,
        texts: Sequence[str],
        language: str | None = None,  # noqa: ARG002 (for encoders that need it)
    ) -> np.ndarray:
        """Return the vectors of passages, as `encode_queries` does."""
        return self.encode("passage", texts)

    def encode(
        self, role: str, texts: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        """Return the vectors of texts as a `query` or `passage` each: (texts, width), float32."""
        return self.vectors(self.tokenize(role, texts), progress)

    def tokenize(self, role: str, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts as a `query` or `passage` each, with prompt and cut.

        Raises EmptyText for a text that has no tokens.
        """
        prompt, length = self.config.encoder.inputs(role)
        tokens = self.encoder.tokenize([prompt + text for text in texts], length)
        if not all(tokens):
            raise EmptyText([len(ids) for ids in tokens].index(0))
        return tokens

    def vectors(self, tokens: list[list[int]], progress: Progress | None = None) -> np.ndarray:
        """Encode token ids, longest first, in batches under a token budget: (texts, width)."""
        settings = self.config.encode
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        unpadded = settings.unpadded and self.encoder.supports_unpadded and not self._run
        # a GPU may pad for attention alone
        spare = unpadded and self.device.type == "cpu"
        batches = list(token_batches(lengths, settings.token_budget, unpadded=spare))

        @torch.inference_mode()
        def encode(some: np.ndarray) -> Tensor:
            ids = [tokens[i] for i in some]
            if self._run:
                return torch.from_numpy(self._run(*self.encoder.pad(ids)))
            with autocast(self.device, settings.precision):
                return self.encoder.encode(ids, self.device, unpadded=unpadded).float()

        each = map_on_cores if self._run else self.encoder.map
        encoded = []
        # a block for all batches of this thread: it rounds weights once, not in each
        with autocast(self.device, settings.precision):
            for part in each(encode, batches):
                encoded.append(part)
                if progress:
                    progress.advance(len(part))
        vectors = np.empty((len(tokens), self.encoder.embedding_dimension), dtype=np.float32)
        for some, part in zip(batches, encoded, strict=True):
            vectors[some] = part.cpu().numpy()  # only now: a GPU need not wait between batches
        return vectors


class EmptyText(UserError):
    """A text without tokens; `place` is its position among those that were to be encoded."""

    def __init__(self, place: int) -> None:
        super().__init__(f"text {place + 1} has no tokens in this encoder: leave it out")
        self.place = place
