"""Attack: a small shift of the word embeddings of queries that harms their ranks most.

It knows encoder and passages, which no typist does. A few steps of ascent look for it; it aims at
the ranks that the task has (in the pool, where there is one).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hbr.core.progress import Progress
from hbr.core.settings import Config
from hbr.data.perturb import PerturbationSpec
from hbr.data.tasks import Task
from hbr.models.encoder import Encoder, token_batches
from hbr.models.loading import load
from hbr.retrieval.exact import relevant_pairs
from hbr.retrieval.top_k import stable_topk
from hbr.retrieval.vectors import float32_tensor
from hbr.training import adversary

AGAINST = 20  # passages that are nearest and not relevant, a query
CORPUS = 65_536  # passages that these come from at most
TEMPERATURE = 0.05
SHARE = 8  # of the token budget: an attack holds what a forward pass forgets


def attack(
    model: Path,
    config: Config,
    task: Task,
    vectors: tuple[Any, Any],
    spec: PerturbationSpec,
    device: torch.device,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the vectors of attacked queries, (queries, width), and what was done.

    Each query's word embeddings are shifted within an L2 ball, whose radius is a share of the mean
    norm of a word embedding, so that log Σ exp(s/t) over the nearest other passages minus that over
    the relevant ones is as high as the steps find: one along the gradient (FGM, arXiv 1605.07725)
    or several, projected (PGD, arXiv 1706.06083). `vectors` are those of the clean task.
    """
    steps = spec.entry.attack_steps
    encoder = load(model, normalize=config.encoder.normalize).to(device)
    encoder.requires_grad_(False)
    radius = spec.strength * encoder.embedding_norm
    prompt, length = config.encoder.inputs("query")
    texts = [prompt + text for text in task.queries["text"].to_pylist()]
    tokens = encoder.tokenize(texts, length)
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    corpus = _corpus(task, config.evaluate.seed)
    passages = float32_tensor(vectors[1].take(corpus)).to(device)
    attacked = np.empty((len(texts), encoder.embedding_dimension), np.float32)
    with Progress(f"attacking {task.name}", len(texts), "queries") as progress:
        for some in token_batches(lengths, config.encode.token_budget // SHARE):
            batch = encoder.pad([tokens[i] for i in some], device)
            scores = float32_tensor(vectors[0].take(some)).to(device) @ passages.T
            relevant = _relevant(task, some, corpus)
            rivals = _nearest(scores, relevant, _candidates(task, some, corpus, relevant))
            answers = torch.from_numpy(relevant).to(device)
            shift = _worst(encoder, batch, passages, (answers, rivals), radius, steps)
            with torch.inference_mode():
                attacked[some] = encoder(*batch, shift).cpu().numpy()
            progress.advance(len(some))
    return attacked, {
        "name": spec.name,
        "strength": spec.strength,
        "radius": radius,
        "steps": steps,
        "changed": float(spec.strength > 0),
        "passages": len(corpus),
    }


def _worst(
    encoder: Encoder,
    batch: tuple[Tensor, ...],
    passages: Tensor,
    sides: tuple[Tensor, Tensor],
    radius: float,
    steps: int,
) -> Tensor:
    """Return the worst shift that the steps of ascent meet, (texts, tokens, width).

    `sides` say which passages are relevant to a query and which are its rivals: both (queries,
    passages).
    """
    relevant, rivals = sides
    ids, mask = batch
    shift = torch.zeros(*ids.shape, encoder.token_embeddings.shape[1], device=ids.device)
    size = radius * min(1.0, 2.5 / steps)
    worst, highest = shift, torch.full((len(ids),), -torch.inf, device=ids.device)
    for step in range(steps + 1):
        shift.requires_grad_()
        scores = encoder(ids, mask, shift) @ passages.T / TEMPERATURE
        harm = _over(scores, rivals) - _over(scores, relevant)
        better = harm.detach() > highest
        worst = torch.where(better[:, None, None], shift.detach(), worst)
        highest = torch.where(better, harm.detach(), highest)
        if step < steps:
            gradient = torch.autograd.grad(harm.sum(), shift)[0]
            shift = adversary.ascend(shift.detach(), gradient, size, radius, "l2")
    return worst


def _over(scores: Tensor, which: Tensor) -> Tensor:
    return scores.masked_fill(~which, -torch.inf).logsumexp(1)


def _corpus(task: Task, seed: int) -> np.ndarray:
    """Return the passages that an attack looks at: all, or the relevant ones and a sample."""
    every = len(task.passage_language)
    if every <= CORPUS:
        return np.arange(every)
    needed = np.unique(task.relevant)
    more = np.random.default_rng(seed).choice(every, CORPUS, replace=False)
    return np.union1d(needed, more)


def _relevant(task: Task, some: np.ndarray, corpus: np.ndarray) -> np.ndarray:
    """Return which passages answer which queries: (queries, passages)."""
    query, passage = relevant_pairs(task.concept[some], task.indptr, task.relevant)
    relevant = np.zeros((len(some), len(corpus)), dtype=bool)
    relevant[query, np.searchsorted(corpus, passage)] = True
    return relevant


def _candidates(
    task: Task, some: np.ndarray, corpus: np.ndarray, relevant: np.ndarray
) -> np.ndarray:
    """Return which passages each query is ranked against: (queries, passages).

    All in a pool, else those in the languages of its answers; never one that is excluded.
    """
    candidates = corpus != task.excluded[task.concept[some]][:, None]
    if "multi" not in task.settings:
        for code in range(len(task.languages)):
            block = task.passage_language[corpus] == code
            candidates[:, block] &= relevant[:, block].any(1, keepdims=True)
    return candidates


def _nearest(scores: Tensor, relevant: np.ndarray, candidates: np.ndarray) -> Tensor:
    """Return which candidates are the nearest that do not answer: (queries, passages)."""
    others = torch.from_numpy(candidates & ~relevant).to(scores.device)
    places = stable_topk(scores.masked_fill(~others, -torch.inf), AGAINST)[1]
    nearest = torch.zeros_like(others).scatter_(1, torch.from_numpy(places).to(others.device), True)
    return nearest & others
