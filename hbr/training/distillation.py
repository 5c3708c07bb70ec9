"""Losses that follow a teacher's scores or vectors."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from hbr.training.batch import Owned

MarginStrategy = Literal["absolute", "relative"]


def own_scores(queries: Tensor, passages: Tensor, negatives: Tensor, row: Tensor) -> list[Tensor]:
    """Return the scores of each query's passage (n,) and of each negative for its own query (m,).

    Queries and passages are (n, d), negatives (m, d), `row` (m,) the query of each negative.
    """
    return [(queries * passages).sum(1), (queries[row] * negatives).sum(1)]


def distill_kl(
    queries: Tensor,
    passages: Tensor,
    negatives: Tensor,
    owned: Owned,
    *,
    temperature: float = 0.05,
    teacher_temperature: float = 1.0,
) -> Tensor:
    """Return KL(teacher || student) over each query's passage and negatives.

    L = 1/n' Σ_i Σ_j p_ij log(p_ij / q_ij), q_i the softmax of the student's scores / temperature
    and p_i of the teacher's / `teacher_temperature`, over the passage and the negatives of row i;
    n' are the rows with negatives. Shapes are those of `own_scores`; 0 where no row has any.
    Source: listwise distillation, as in arXiv 2010.11386 and sentence-transformers'
    DistillKLDivLoss, whose loss is `temperature`² times this one.
    """
    assert owned.positive_score is not None
    assert owned.score is not None
    positive, negative = own_scores(queries.float(), passages.float(), negatives.float(), owned.row)
    student = _listed(positive / temperature, negative / temperature, owned.row)
    teacher = _listed(
        owned.positive_score / teacher_temperature, owned.score / teacher_temperature, owned.row
    )
    log_q, log_p = student.log_softmax(1), teacher.log_softmax(1)
    terms = log_p.exp() * (log_p - log_q)
    rows = len(owned.row.unique())
    return terms.masked_fill(teacher.isinf(), 0).sum() / max(rows, 1)


def _listed(positive: Tensor, negative: Tensor, row: Tensor) -> Tensor:
    """Return scores by row, the passage's first, -inf where a row has no more: (n, 1 + most)."""
    count = len(positive)
    counts = torch.bincount(row, minlength=count)
    place = 1 + torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    rows = torch.cat([torch.arange(count, device=row.device), row])
    places = torch.cat([torch.zeros_like(counts), place])
    listed = positive.new_full((count, 1 + int(counts.max())), -torch.inf)
    return listed.index_put((rows, places), torch.cat([positive, negative]))


def margin_mse(
    queries: Tensor, passages: Tensor, negatives: Tensor, owned: Owned, *, scale: float = 1.0
) -> Tensor:
    """Return the mean squared difference of the student's margins and the teacher's.

    L = 1/m Σ_j ( c (s_i+ - s_ij) - (t_i+ - t_ij) )², over all negatives j, each with the passage of
    its own row i; c is `scale`. Shapes are those of `own_scores`; 0 where there is no negative.
    Source: Hofstätter et al., arXiv 2010.02666, eq. 8; sentence-transformers' MarginMSELoss.
    """
    assert owned.positive_score is not None
    assert owned.score is not None
    positive, negative = own_scores(queries.float(), passages.float(), negatives.float(), owned.row)
    margin = scale * (positive[owned.row] - negative)
    wanted = owned.positive_score[owned.row] - owned.score
    return ((margin - wanted) ** 2).sum() / max(len(wanted), 1)


def embedding_mse(vectors: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared difference of the numbers of vectors and of targets, both (n, d).

    Source: Reimers & Gurevych, arXiv 2004.09813, eq. 1; sentence-transformers' MSELoss.
    """
    return mse_loss(vectors.float(), targets.float())


def guide_mask(queries: Tensor, texts: Tensor, strategy: MarginStrategy, margin: float) -> Tensor:
    """Return which texts a teacher takes for answers: no negatives of a query, (n, n + m).

    `queries` (n, w) and `texts` (n + m, w) are the teacher's vectors, the passages of the queries
    first. Text j is masked for query i where t_ij > t_ii - margin (`absolute`) or t_ij > t_ii -
    |t_ii| · margin (`relative`); a query's own passage never is.
    Source: GISTEmbed, arXiv 2402.16829; Qwen3-Embedding, arXiv 2506.05176, has a margin of -0.1.
    """
    scores = queries.float() @ texts.float().T
    own = scores.diagonal()[:, None]
    masked = scores > own - (margin if strategy == "absolute" else own.abs() * margin)
    masked.diagonal().fill_(False)
    return masked
