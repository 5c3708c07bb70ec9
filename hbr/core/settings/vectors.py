"""Settings of vectors: how texts are encoded, and the faiss index over them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hbr.core.settings.fields import Positive, Precision, Section, Tokens

EXACT = ("exact", "flat")  # searches that no setting changes


class Encode(Section):
    """Encoding an evaluation set."""

    backend: Literal["torch", "openvino", "onnx", "auto"] = Field(
        "torch",
        description="Engine of the forward pass, but in training and its validation; auto: "
        "OpenVINO on a CPU where it is installed.",
    )
    precision: Literal[Precision, "int8"] = Field(
        "fp32",
        description="Precision of the forward pass; int8: weights and their inputs in a byte each, "
        "by ONNX Runtime alone.",
    )
    dtype: Literal["float32", "float16"] = Field("float32", description="Type of stored vectors.")
    unpadded: bool = Field(
        True, description="Encode texts without padding where the encoder can; same result."
    )
    token_budget: Tokens = Field(4096, description="Tokens in one forward pass, padding included.")
    shard_size: Annotated[Positive, "vectors"] = Field(16384, description="Vectors in one file.")

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide vectors, the engine where it is another than torch."""
        same = {"unpadded"} | ({"backend"} if self.backend == "torch" else set())
        return self.model_dump(mode="json", exclude=same)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the numbers of vectors, where they are not the default.

        How many are made or stored at a time changes their last bits at most.
        """
        decisive = {"backend", "precision", "dtype"}
        return {name: value for name, value in self.changed().items() if name in decisive}


class Index(Section):
    """A faiss index."""

    kind: Literal["flat", "ivf", "hnsw", "pq"] = Field("flat", description="Type of the index.")
    nlist: Annotated[Positive, "cells"] | None = Field(
        None, description="IVF: number of cells; null: the square root of the corpus size."
    )
    nprobe: Annotated[Positive, "cells"] = Field(8, description="IVF: cells searched.")
    m: Positive = Field(
        32, description="HNSW: links of a vertex; PQ: sub-quantizers, that is bytes a vector."
    )
    ef_search: Annotated[Positive, "passages"] = Field(
        64, description="HNSW: candidates kept while searching."
    )
    top_k: Annotated[Positive, "passages"] = Field(
        1000, description="Passages retrieved for a query."
    )

    def decisive(self, kind: str) -> dict[str, Any]:
        """Return what decides the finds of an index of a kind, where not all is the default."""
        return self.model_dump(mode="json") if kind not in EXACT and self.changed() else {}
