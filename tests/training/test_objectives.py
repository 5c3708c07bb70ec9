"""Recipes: their gradients are those of their equations, in chunks and on ranks too."""

import copy
import math
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hbr.core import registry
from hbr.core.errors import UserError
from hbr.training import adversary
from hbr.training.batch import Owned, TeacherTexts, TrainingBatch
from hbr.training.distillation import distill_kl, embedding_mse, margin_mse
from hbr.training.gradient_cache import Gather
from hbr.training.losses import info_nce, language_contrast, semantic_contrast
from hbr.training.objectives import Objective, Recipe
from hbr.training.objectives.adversarial import Adversarial
from hbr.training.schedule import Batch, translation_batch
from tests.training.support import VOCABULARY, WIDTH, bert

ROWS = 7
LANGUAGES = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 1, 1, 0, 0, 2, 2])  # queries, passages
PAIRS = [0, 2, 3, 6]  # rows whose passage has a translation
OWNERS = [0, 0, 3, 5]  # the row of each given negative


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TAUGHT = Owned(torch.tensor(OWNERS), drawn(1, ROWS), drawn(2, len(OWNERS)))  # a teacher's scores
TEACHER = TeacherTexts(*(drawn(3 + i, n, WIDTH) for i, n in enumerate((ROWS, ROWS, len(OWNERS)))))
SIZES = {"query": ROWS, "passage": ROWS, "negatives": len(OWNERS), "translation": len(PAIRS)}


class Texts(NamedTuple):
    """Texts of one role, a `hbr.training.batch.Chunk`."""

    encoder: nn.Module
    texts: Sequence[Tensor]
    seeds: Sequence[int]
    dropout: int = 0

    @property
    def lengths(self) -> list[int]:
        return [len(text) for text in self.texts]

    def __call__(self, shift: Tensor | None = None) -> Tensor:
        if not self.texts:
            return torch.zeros(0, WIDTH, requires_grad=True)
        torch.manual_seed(self.dropout)
        ids = nn.utils.rnn.pad_sequence(list(self.texts), batch_first=True)
        return self.encoder(ids, (ids > 0).long(), shift)


class Toy(nn.Module):
    """The mean of tanh(words + shift), through a matrix, as unit vectors; smooth, in any dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(VOCABULARY, WIDTH) / 4)
        self.matrix = nn.Parameter(torch.randn(WIDTH, WIDTH))

    def forward(self, ids: Tensor, mask: Tensor, shift: Tensor | None = None) -> Tensor:
        words = self.words[ids] + (0 if shift is None else shift)
        hidden = torch.tanh(words) * mask[..., None]
        return nn.functional.normalize(hidden.sum(1) @ self.matrix, dim=-1)


def text(role: int, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(100 * role + number)
    length = int(torch.randint(2, 9, (1,), generator=generator))
    return torch.randint(1, VOCABULARY, (length,), generator=generator)


def chunks(
    encoder: nn.Module, size: int, roles: Sequence[str], part: Mapping[str, slice] | None = None
) -> dict[str, list[Texts]]:
    """All texts of some roles, or a part of each, cut into chunks."""
    found: dict[str, list[Texts]] = {}
    for number, role in enumerate(SIZES):
        if role not in roles:
            continue
        places = list(range(SIZES[role]))[part[role] if part else slice(None)]
        found[role] = [
            Texts(
                encoder,
                [text(number, place) for place in places[at : at + size]],
                [1000 * number + place for place in places[at : at + size]],
            )
            for at in range(0, max(len(places), 1), size)
        ]
    return found


def step_of(pieces: Mapping[str, list[Texts]], **changes: object) -> TrainingBatch:
    mask = torch.zeros(ROWS, ROWS, dtype=torch.bool)
    mask[0, 4] = mask[4, 0] = True
    if "negatives" in pieces:
        mask = torch.cat([mask, torch.zeros(ROWS, len(OWNERS), dtype=torch.bool)], dim=1)
        mask[2, ROWS + 1] = True

    step = TrainingBatch(
        chunks=pieces,
        loss=info_nce,
        gather=lambda own: (own, slice(0, len(own))),
        scale=1.0,
        progress=0.1,
        embedding_norm=1.0,
        embedding_width=WIDTH,
        device=torch.device("cpu"),
        temperature=0.5,
        mask=mask,
        languages=LANGUAGES,
        translated_rows=torch.tensor(PAIRS),
        head=nn.Sequential(),
        negatives=TAUGHT,
        teacher=TEACHER,
    )
    return replace(step, **changes)


def recipe_of(name: str, **settings: object) -> Recipe:
    objective: Objective = registry.get("objective", name)
    return objective.recipe(objective.settings(name=name, **settings))


def with_settings(recipe: Recipe, **changes: object) -> Recipe:
    return replace(recipe, settings=recipe.settings.model_copy(update=changes))


RECIPES = {
    "plain": recipe_of("infonce"),
    "fgm": recipe_of("adversarial", epsilon=0.3),
    "queries": recipe_of("adversarial", epsilon=0.3, perturbed="queries", weight=0.5),
    "pgd": recipe_of(
        "adversarial", epsilon=0.3, perturbed="passages", ascent_steps=3, start="random"
    ),
    "linf": recipe_of("adversarial", epsilon=0.1, norm="linf", ascent_steps=2),
    "freelb": recipe_of("adversarial", epsilon=0.3, ascent_steps=3, start="random", average=True),
    "smoothing": recipe_of("smoothing", sigma=0.3),
    "language-adversarial": recipe_of("language-adversarial", weight=0.7),
    "language-contrastive": recipe_of("language-contrastive", weight=0.5, language_weight=0.3),
    "distill-kl": recipe_of("distill-kl", infonce_weight=0.3),
    "margin-mse": recipe_of("margin-mse", scale=2.0),
    "embedding-mse": recipe_of("embedding-mse", infonce_weight=0.5),
}
NAMED = pytest.mark.parametrize("name", RECIPES)


def roles_of(recipe: Recipe) -> list[str]:
    return [role for role in SIZES if role != "translation" or recipe.needs_translations]


def head_of(recipe: Recipe) -> nn.Module:
    torch.manual_seed(1)
    head = recipe.head(WIDTH, 3)
    return head.module if head else nn.Sequential()


def gradients(encoder: nn.Module, head: nn.Module | None = None) -> dict[str, Tensor]:
    named = [*encoder.named_parameters(), *(head.named_parameters("head") if head else ())]
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def made(
    recipe: Recipe, encoder: nn.Module, size: int, **changes: object
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Let a recipe go over the whole batch; give what it says and the gradients it makes."""
    head = head_of(recipe)
    encoder.zero_grad()
    step = step_of(chunks(encoder, size, roles_of(recipe)), head=head, **changes)
    return recipe.backward(step), gradients(encoder, head)


def assert_same(found, expected, far: float = 1e-6) -> None:
    assert found[0] == pytest.approx(expected[0], abs=far)
    assert found[1].keys() == expected[1].keys()
    assert max(float(gradient.abs().max()) for gradient in expected[1].values()) > 1e-2
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=far, msg=name)


@NAMED
@pytest.mark.parametrize("size", [1, 3])
def test_chunks_give_the_gradients_of_the_whole_batch(name, size):
    encoder = bert()
    assert_same(made(RECIPES[name], encoder, size), made(RECIPES[name], encoder, 100))


@NAMED
def test_the_scale_of_a_batch_scales_the_gradients_and_not_what_is_said(name):
    encoder = bert()
    whole, half = (made(RECIPES[name], encoder, 100, scale=scale) for scale in (1.0, 0.5))
    assert_same((half[0], {k: 2 * g for k, g in half[1].items()}), whole)


@NAMED
@pytest.mark.parametrize("split", [0.4, 0.9])
def test_the_gradients_of_two_ranks_add_up_to_those_of_one_process(name, split):
    """Each rank is a thread with an encoder of its own; at .9 the second has no negatives."""
    recipe, encoder = RECIPES[name], bert()
    parts = [{}, {}]
    for role, count in SIZES.items():
        cut = round(split * count)
        parts[0][role], parts[1][role] = slice(0, cut), slice(cut, count)
    meet, box, said = threading.Barrier(2, timeout=60), [None, None], [None, None]
    encoders, heads = [copy.deepcopy(encoder) for _ in parts], [head_of(recipe) for _ in parts]

    def gather_of(rank: int) -> Gather:
        def gather(own: Tensor) -> tuple[Tensor, slice]:
            box[rank] = own
            meet.wait()
            both, before = list(box), len(box[0]) * rank
            meet.wait()
            return torch.cat(both), slice(before, before + len(own))

        return gather

    def run(rank: int) -> None:
        pieces = chunks(encoders[rank], 3, roles_of(recipe), parts[rank])
        step = step_of(pieces, gather=gather_of(rank), head=heads[rank])
        said[rank] = recipe.backward(step)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    one, other = (gradients(e, h) for e, h in zip(encoders, heads, strict=True))
    summed = {key: value + other[key] for key, value in one.items()}
    for key in [key for key in summed if key.startswith("head")]:
        torch.testing.assert_close(one[key], other[key])  # whole on every rank
        summed[key] = one[key]
    assert said[0] == said[1]
    assert_same((said[0], summed), made(recipe, encoder, 100))


def differences(parameters: Sequence[Tensor], value, count: int = 12) -> list[tuple[float, float]]:
    """Pair some gradients with central differences of a value."""
    found = []
    for number in range(count):
        parameter = parameters[number % len(parameters)]
        place = int(torch.randint(parameter.numel(), (1,)))
        flat, eps = parameter.data.view(-1), 1e-6
        old = float(flat[place])
        flat[place] = old + eps
        high = value()
        flat[place] = old - eps
        low = value()
        flat[place] = old
        found.append((float(parameter.grad.view(-1)[place]), float(high - low) / (2 * eps)))
    return found


@pytest.fixture
def toy() -> Toy:
    """A smooth encoder in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        yield Toy()
    finally:
        torch.set_default_dtype(torch.float32)


def vectors_of(pieces: Mapping[str, list[Texts]], shifts: Mapping[str, list[Tensor]]):
    return {
        role: torch.cat([p(s) for p, s in zip(of, shifts.get(role, [None] * len(of)), strict=True)])
        for role, of in pieces.items()
    }


def test_the_gradient_of_a_shift_is_that_of_finite_differences(toy):
    step = step_of(chunks(toy, 3, ["query", "passage", "negatives"]))
    shifts = step.shifts("both", lambda piece: 0.1 * step.random_shift(piece, adversary.normal))
    step.backward(step.contrastive_loss, shifts=shifts)
    leaves = [shift for of in shifts.values() for shift in of]
    with torch.no_grad():
        pairs = differences(
            leaves, lambda: step.contrastive_loss(vectors_of(step.chunks, shifts)), 40
        )
    assert max(abs(found) for found, _ in pairs) > 1e-3
    for found, expected in pairs:
        assert found == pytest.approx(expected, abs=1e-8)


def test_without_weights_a_pass_gives_the_shifts_the_same_gradients_and_the_weights_none(toy):
    for size in (2, 100):
        step = step_of(chunks(toy, size, ["query", "passage", "negatives"]))
        made = [step.shifts("queries", step.zero_shift) for _ in range(2)]
        toy.zero_grad(set_to_none=True)
        values = [step.backward(step.contrastive_loss, shifts=made[0], shifts_only=True)]
        assert all(p.grad is None for p in toy.parameters())
        values.append(step.backward(step.contrastive_loss, shifts=made[1]))
        assert all(p.grad is not None for p in toy.parameters())
        assert values[0] == values[1]
        for one, other in zip(made[0]["query"], made[1]["query"], strict=True):
            assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("name", ["fgm", "queries", "pgd", "linf", "freelb", "smoothing"])
def test_perturbed_training_has_the_gradient_of_the_loss_at_the_points_it_found(
    toy, name, monkeypatch
):
    """Finite differences with the shifts held where the recipe put them."""
    recipe, visited = RECIPES[name], []
    whole = TrainingBatch.backward

    def watched(self, loss, *, shifts=None, weight=1.0, shifts_only=False):
        if not shifts_only:
            visited.append((weight, {r: [s.detach() for s in of] for r, of in shifts.items()}))
        return whole(self, loss, shifts=shifts, weight=weight, shifts_only=shifts_only)

    monkeypatch.setattr(TrainingBatch, "backward", watched)
    step = step_of(
        chunks(toy, 3, ["query", "passage", "negatives"]), embedding_norm=0.25 * WIDTH**0.5
    )
    toy.zero_grad()
    parts = recipe.backward(step)

    def value() -> Tensor:
        return sum(
            w * step.contrastive_loss(vectors_of(step.chunks, shifts)) for w, shifts in visited
        )

    with torch.no_grad():
        assert parts["loss"] == pytest.approx(float(value()))
        for found, expected in differences(list(toy.parameters()), value, 30):
            assert found == pytest.approx(expected, abs=1e-7)
    if isinstance(recipe, Adversarial):
        settings = recipe.settings
        assert len(visited) == 1 + (settings.ascent_steps if settings.average else 1)
        assert sum(weight for weight, _ in visited) == pytest.approx(1 + settings.weight)
        assert parts["adversarial"] > parts["clean"]
        radius, sides = recipe.radius(step), visited[-1][1]
        expected = {"queries": {"query"}, "passages": {"passage", "negatives"}}
        assert set(sides) == expected.get(settings.perturbed, {"query", "passage", "negatives"})
        for shift in (shift for _, shifts in visited for of in shifts.values() for shift in of):
            inside = adversary.project(shift, radius, settings.norm)
            torch.testing.assert_close(shift, inside, atol=1e-6, rtol=0)


def test_free_lb_averages_a_random_start_and_the_points_of_all_steps_but_the_last(monkeypatch):
    """K points, the first the start itself: lines 4 to 12 of algorithm 1, arXiv 1909.11764."""
    recipe, points, whole = RECIPES["freelb"], [], TrainingBatch.backward

    def watched(self, loss, *, shifts=None, weight=1.0, shifts_only=False):
        points.append((weight, [s.detach().clone() for s in shifts["query"]]))
        return whole(self, loss, shifts=shifts, weight=weight, shifts_only=shifts_only)

    monkeypatch.setattr(TrainingBatch, "backward", watched)
    step = step_of(chunks(bert(), 100, ["query", "passage"]), embedding_norm=0.5)
    recipe.backward(step)
    assert [weight for weight, _ in points] == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    for chunk, start in zip(step.chunks["query"], points[1][1], strict=True):
        numbers = step.random_shift(chunk, adversary.uniform)
        expected = adversary.random_start(numbers, chunk.lengths, recipe.radius(step), "l2")
        assert torch.equal(start, expected)


@pytest.mark.parametrize(("norm", "epsilon"), [("l2", 0.3), ("linf", 0.05)])
@pytest.mark.parametrize("steps", [1, 3])
def test_ascent_raises_the_loss_more_than_any_random_shift_of_the_same_size(norm, epsilon, steps):
    encoder = bert()
    words = float(encoder.token_embeddings.detach().norm(dim=1).mean())
    recipe = recipe_of("adversarial", epsilon=epsilon, norm=norm, ascent_steps=steps)
    step = step_of(chunks(encoder, 100, ["query", "passage"]), embedding_norm=words)
    raised = recipe.backward(step)
    radius, others = recipe.radius(step), []
    with torch.no_grad():
        for seed in range(20):
            far = step.shifts(
                "both",
                lambda piece, seed=seed: (
                    1e3
                    * adversary.by_text(
                        adversary.normal,
                        piece.lengths,
                        [31 * seed + own for own in piece.seeds],
                        WIDTH,
                        step.device,
                    )
                ),
            )
            edge = {r: [adversary.project(s, radius, norm) for s in of] for r, of in far.items()}
            others.append(float(step.contrastive_loss(vectors_of(step.chunks, edge))))
    assert raised["adversarial"] > max(others)
    assert raised["adversarial"] - raised["clean"] > 3 * (max(others) - raised["clean"])


def test_more_steps_find_a_higher_point():
    found = []
    for steps in (1, 5):
        recipe = recipe_of("adversarial", epsilon=1.0, ascent_steps=steps)
        step = step_of(chunks(bert(), 100, ["query", "passage"]), embedding_norm=0.08)
        found.append(recipe.backward(step)["adversarial"])
    assert found[1] > found[0] + 1e-3


def test_the_clean_pass_is_the_plain_loss():
    encoder = bert(dropout=0.2)
    plain = made(RECIPES["plain"], encoder, 100)[0]["loss"]
    assert made(RECIPES["freelb"], encoder, 100)[0]["clean"] == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", ["fgm", "freelb"])
def test_dropout_is_the_same_in_all_passes(name):
    """With a ball of no size all passes see the same."""
    recipe = with_settings(RECIPES[name], epsilon=1e-12)
    parts, _ = made(recipe, bert(dropout=0.3), 3)
    assert parts["adversarial"] == pytest.approx(parts["clean"], abs=1e-6)


def test_language_adversarial_is_the_clean_loss_and_that_of_the_languages_turned_round():
    recipe, encoder = RECIPES["language-adversarial"], bert()
    parts, found = made(recipe, encoder, 3)
    strength = 0.7 * (2 / (1 + math.exp(-1)) - 1)
    assert parts["reversal"] == pytest.approx(strength)
    assert parts["loss"] == pytest.approx(parts["clean"] + parts["language"])
    head, pieces = head_of(recipe), chunks(encoder, 100, roles_of(recipe))
    encoder.zero_grad()
    vectors = vectors_of(pieces, {})
    both = torch.cat([vectors["query"], vectors["passage"]])
    language = nn.functional.cross_entropy(head(both), LANGUAGES)
    clean = step_of(pieces).contrastive_loss(vectors)
    (clean - strength * language).backward()
    expected = gradients(encoder, None)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    head.zero_grad()
    nn.functional.cross_entropy(head(both.detach()), LANGUAGES).backward()
    for name, p in head.named_parameters("head"):
        torch.testing.assert_close(found[name], p.grad)
    constant, _ = made(with_settings(recipe, ramp=False), encoder, 3)
    assert constant["reversal"] == 0.7


@pytest.mark.parametrize("name", ["distill-kl", "margin-mse", "embedding-mse"])
def test_distillation_is_the_loss_that_follows_the_teacher_and_a_share_of_infonce(name):
    encoder, recipe = bert(), RECIPES[name]
    said, found = made(recipe, encoder, 3)
    step = step_of(chunks(encoder, 100, roles_of(recipe)))
    vectors = {role: of_role[0]() for role, of_role in step.chunks.items()}
    scored = (vectors["query"], vectors["passage"], vectors["negatives"], TAUGHT)
    follows = {
        "distill-kl": lambda: distill_kl(*scored, temperature=0.5),
        "margin-mse": lambda: margin_mse(*scored, scale=2.0),
        "embedding-mse": lambda: embedding_mse(
            torch.cat(scored[:2]), torch.cat([TEACHER.query, TEACHER.passage])
        ),
    }[name]()
    weight, clean = recipe.settings.infonce_weight, step.contrastive_loss(vectors)
    encoder.zero_grad()
    (loss := follows + weight * clean).backward()
    parts = {"loss": loss.item(), "distilled": follows.item()}
    parts |= {"clean": clean.item()} if weight else {}
    assert_same((said, found), (parts, gradients(encoder)))


def test_negatives_that_no_loss_sees_are_not_encoded() -> None:
    """Embedding MSE has none of its own; InfoNCE beside it has."""
    for name, weight, number in (
        ("embedding-mse", 0.0, 0),
        ("embedding-mse", 0.1, 1),
        ("margin-mse", 0.0, 1),
    ):
        assert recipe_of(name, infonce_weight=weight).num_negatives == number


def test_a_classifier_needs_two_languages():
    with pytest.raises(UserError, match="two languages"):
        recipe_of("language-adversarial").head(WIDTH, 1)


def test_language_contrastive_is_the_sum_of_its_three_losses():
    recipe, encoder = RECIPES["language-contrastive"], bert()
    parts, found = made(recipe, encoder, 3)
    pieces = chunks(encoder, 100, roles_of(recipe))
    step, vectors = step_of(pieces), vectors_of(pieces, {})
    passages, others = vectors["passage"][PAIRS], vectors["translation"]
    counted = torch.ones(len(PAIRS), ROWS, dtype=torch.bool)
    for i, row in enumerate(PAIRS):
        counted[i, row] = False
    counted[0, 4] = False  # of the same group as row 0
    semantic = semantic_contrast(passages, others, temperature=0.5)
    language = language_contrast(passages, others, vectors["passage"], counted, temperature=0.5)
    total = step.contrastive_loss(vectors) + 0.5 * semantic + 0.3 * language
    assert parts["loss"] == pytest.approx(total.item(), abs=1e-6)
    assert parts["semantic"] == pytest.approx(semantic.item(), abs=1e-6)
    assert parts["language"] == pytest.approx(language.item(), abs=1e-6)
    encoder.zero_grad()
    total.backward()
    assert_same((parts, found), (parts, gradients(encoder, None)))


def test_rows_without_another_language_contribute_the_clean_loss_alone():
    encoder = bert()
    pieces = chunks(encoder, 3, ["query", "passage", "negatives"])
    pieces["translation"] = [Texts(encoder, [], [])]
    step = step_of(pieces, translated_rows=torch.zeros(0, dtype=torch.int64))
    parts = RECIPES["language-contrastive"].backward(step)
    assert parts["semantic"] == parts["language"] == 0
    assert (
        parts["loss"]
        == parts["clean"]
        == pytest.approx(made(RECIPES["plain"], encoder, 3)[0]["loss"])
    )


HAS = np.array([[1, 1, 1], [0, 1, 0], [1, 0, 1], [1, 1, 0]], dtype=bool)
BATCH = Batch(5, "mixed", 0, np.arange(4), np.array([0, 1, 2, 1]), np.array([1, 1, 0, 0]))


def test_translations_are_in_another_language_that_the_row_has_and_fall_on_all_of_them():
    seen = set()
    for step in range(50):
        batch = BATCH._replace(step=step)
        rows, other = translation_batch(batch, HAS, seed=3)
        assert rows.tolist() == [0, 2, 3]  # the second has one language
        assert HAS[rows, other.passage_language].all()
        assert (other.passage_language != batch.passage_language[rows]).all()
        again = translation_batch(batch, HAS, seed=3)
        assert all(np.array_equal(one, two) for one, two in zip(other, again[1], strict=True))
        seen |= {tuple(other.passage_language)}
    assert seen == {(0, 2, 1), (2, 2, 1)}


@pytest.mark.parametrize("side", ["queries", "passages", "both"])
def test_swaps_are_in_another_language_on_the_side_that_is_perturbed(side):
    recipe = recipe_of("smoothing", perturbed=side, swap=0.5)
    swaps = np.zeros(2)
    for step in range(400):
        batch = BATCH._replace(step=step)
        found = recipe.augment(batch, HAS, seed=1)
        assert np.array_equal(found.rows, batch.rows)
        for number, key in enumerate(("query_language", "passage_language")):
            language = getattr(found, key)
            assert HAS[np.arange(4), language].all()
            changed = language != getattr(batch, key)
            assert not changed[1]
            swaps[number] += changed.sum() / 1200
    wanted = {"queries": (0.5, 0), "passages": (0, 0.5), "both": (0.5, 0.5)}[side]
    assert swaps == pytest.approx(wanted, abs=0.05)
    kept = recipe_of("smoothing", swap=0.0).augment(BATCH, HAS, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(kept, BATCH, strict=True))


@pytest.mark.parametrize("name", registry.names("objective"))
def test_every_objective_is_called_what_the_table_calls_it_and_its_defaults_are_valid(name):
    objective = registry.get("objective", name)
    assert objective.name == name
    assert recipe_of(name).settings.name == name


def test_settings_of_objectives_are_checked_without_torch():
    code = (
        "import sys\nfrom hbr.core import registry\nfrom hbr.core.config import resolve_config\n"
        "for name in registry.names('objective'):\n"
        "    resolve_config({'objective': {'name': name, 'temperature': 0.1}})\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
