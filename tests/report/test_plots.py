"""Figures show what they are given, leave matplotlib as it was, and are equal for equal input."""

import math
import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from hbr.compare.model import OPEN, REFUTED, SUPPORTED, Finding, Series, Verdict
from hbr.compare.table import signed
from hbr.core import registry
from hbr.report import findings
from hbr.report.figures import claims, languages, losses, mean_ranks, robustness, style, tradeoff
from hbr.report.figures.cells import UNTRAINED_LOOK
from hbr.report.figures.drawing import Drawing, save, to_svg
from hbr.training.samplers import Sampler

NAN = math.nan
ALPHA = {"untrained": None, "monolingual": 1.0, "cross-lingual": 0.0, "hybrid": 0.5}


def cell(sampler: str, mono: float, cross: float, *, name: str = "", **changed) -> Series:
    values = {
        "dataset": "d",
        "encoder": "e",
        "alpha": ALPHA.get(sampler),
        "settings": {
            "mono": {"map": mono},
            "cross": {"map": cross},
            "multi": {"map": cross / 2, "rank_distance": 1000 * mono},
        },
        "by_language": {s: {"de": mono, "en": cross} for s in ("mono", "cross", "multi")},
        "mean_rank": {"de": {"de": 2.0, "en": 30.0}, "en": {"de": 400.0, "en": 1234.0}},
        "losses": [[(10, 4.0), (20, 2.0)], [(10, 2.0), (20, 1.0)]],
        "validation": [[(20, 1.5)]],
    }
    return Series(sampler=sampler, name=name or sampler, **values | changed)


FOUR = [
    cell("untrained", 0.1, 0.1, losses=(), validation=()),
    cell("monolingual", 0.6, 0.2),
    cell("cross-lingual", 0.5, 0.4),
    cell("hybrid", 0.55, 0.35),
]
BLANK = cell(
    "hybrid",
    NAN,
    NAN,
    settings={},
    by_language={"mono": {"de": NAN}},
    mean_rank={"de": {"de": NAN}},
    losses=[[]],
    validation=[[(10, NAN)]],
)
VERDICTS = [
    Verdict(
        "better",
        "It is better",
        "map",
        "mono",
        REFUTED,
        (
            Finding("d", "a vs b", SUPPORTED, 0.05, 0.02, 0.08),
            Finding("d", "a vs c", REFUTED, -0.04, -0.06, -0.02),
            Finding("d", "a vs x", OPEN, note="not all of its cells were run", missing=True),
        ),
    ),
    Verdict(
        "bias",
        "It is less biased",
        "rank_distance",
        "multi",
        SUPPORTED,
        (Finding("d", "a vs b", SUPPORTED, -1234.0, -1300.0, -1100.0),),
    ),
]
PERTURBED = [
    cell("hybrid", 0.3, 0.2, dataset="d~typo:0.1"),
    cell("hybrid", 0.2, 0.1, dataset="d~typo:0.2"),
    cell("untrained", 0.2, NAN, dataset="d~word-drop:0.2"),
]
COLOURS = {name: registry.get("sampler", name).colour for name in registry.names("sampler")}
COLOURS["untrained"] = UNTRAINED_LOOK.colour
DRAWN = {
    "tradeoff": lambda: tradeoff.draw(FOUR),
    "languages": lambda: languages.draw(FOUR),
    "mean_ranks": lambda: mean_ranks.draw([FOUR[1]]),
    "mean_ranks_grid": lambda: mean_ranks.draw(FOUR),
    "robustness": lambda: robustness.draw(FOUR, PERTURBED),
    "curves": lambda: losses.draw(FOUR),
    "claims": lambda: claims.draw(VERDICTS),
}
every_figure = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


def texts(figure: Figure) -> list[str]:
    """Return what the figure says, ticks and legends left out."""
    found = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts)]
    return [text.get_text() for text in found]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def legend_handles(figure: Figure):
    return figure.legends[0].legend_handles


def panels(figure: Figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def ids(svg: str) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', svg))


@every_figure
def test_a_figure_is_as_wide_as_a_column_of_a_paper_or_two(draw):
    assert draw().get_figwidth() in (style.SINGLE, style.DOUBLE)


@every_figure
def test_equal_input_gives_equal_bytes_in_any_order_of_forms(draw, tmp_path):
    one, other = draw(), draw()
    svg, saved = to_svg(one), save(one, tmp_path / "a")
    again = save(other, tmp_path / "b")
    assert [path.read_bytes() for path in saved] == [path.read_bytes() for path in again]
    assert to_svg(other) == svg


@every_figure
def test_drawing_changes_no_setting_of_matplotlib(draw):
    before = dict(matplotlib.rcParams)
    to_svg(draw())
    assert dict(matplotlib.rcParams) == before


@every_figure
def test_the_settings_of_the_user_change_nothing(draw):
    ours = to_svg(draw())
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "none"}):
        assert to_svg(draw()) == ours


@every_figure
def test_an_svg_stands_inside_a_page(draw):
    svg = to_svg(draw())
    assert svg.startswith("<svg ")
    for absent in ("<?xml", "<!DOCTYPE", "<style", "<metadata", "<!--", "xlink"):
        assert absent not in svg
    assert "<text" in svg
    assert not re.search(r"#000000|: #ffffff", svg)  # ink and paper are those of the page
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    assert used
    assert used <= ids(svg)


def test_the_ids_of_two_figures_do_not_collide():
    found = [ids(to_svg(draw())) for draw in DRAWN.values() if draw is not DRAWN["mean_ranks"]]
    assert all(found)
    assert len(set().union(*found)) == sum(map(len, found))


def test_png_and_pdf_are_written_under_the_whole_name(tmp_path):
    png, pdf = save(losses.draw(FOUR), tmp_path / "alpha-0.5")
    assert (png.name, pdf.name) == ("alpha-0.5.png", "alpha-0.5.pdf")
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert b"CreationDate" not in pdf.read_bytes()


@pytest.mark.parametrize("draw", [tradeoff.draw, languages.draw, losses.draw])
@pytest.mark.parametrize("series", [[], [BLANK], [*FOUR, BLANK]], ids=["none", "blank", "one too"])
def test_missing_values_are_left_out(draw, series):
    assert to_svg(draw(series)).startswith("<svg")


def test_missing_mean_ranks_are_left_out():
    assert to_svg(mean_ranks.draw([])).startswith("<svg")
    assert to_svg(mean_ranks.draw([BLANK])).startswith("<svg")
    assert len(panels(mean_ranks.draw([*FOUR, BLANK]))) == 4 + 1  # and the bar


def test_no_claims_are_no_trouble():
    assert to_svg(claims.draw([])).startswith("<svg")


def test_a_panel_has_a_point_for_each_cell_and_a_line_along_alpha():
    figure = tradeoff.draw(FOUR)
    cross, multi = panels(figure)[:2]
    line, *points = cross.lines
    np.testing.assert_allclose(line.get_xydata(), [[0.5, 0.4], [0.55, 0.35], [0.6, 0.2]])
    assert len(points) == 4
    (inset,) = cross.child_axes  # of the trained ones
    assert [text.get_text() for text in inset.texts] == ["1", "0", ".5"]
    np.testing.assert_allclose(multi.lines[0].get_ydata(), [0.2, 0.175, 0.1])
    assert legend(figure) == [*ALPHA, "numbers: α"]


def test_an_untrained_encoder_far_off_stands_at_its_place_and_the_others_in_a_frame_too():
    cross = panels(tradeoff.draw(FOUR))[0]
    assert [text.get_text() for text in cross.texts] == ["untrained"]
    np.testing.assert_allclose(cross.lines[1].get_xydata(), [[0.1, 0.1]])
    assert cross.get_xlim()[0] < 0.1
    assert 0.1 < cross.child_axes[0].get_xlim()[0] < 0.5
    near = panels(tradeoff.draw(FOUR[1:]))[0]
    assert not near.child_axes


def test_deviations_over_seeds_are_drawn_where_there_are_any():
    seeds = [
        replace(
            one, deviations={"mono": {"map": 0.02}}, by_language_deviations={"mono": {"de": 0.1}}
        )
        for one in FOUR
    ]
    assert len(panels(tradeoff.draw(seeds))[0].containers) == 4
    assert not panels(tradeoff.draw(FOUR))[0].containers
    bars = languages.draw(seeds)
    assert "hybrid, mono de: .550 ± .100" in Drawing("", "", "", bars).values


def test_marks_tell_their_values_in_the_svg():
    svg = to_svg(mean_ranks.draw([FOUR[1]]))
    assert "<title>monolingual, de → en: mean rank 30</title>" in svg


def test_an_interval_without_end_is_cut_where_no_effect_is(tmp_path):
    endless = replace(VERDICTS[0].findings[0], low=-1e80, high=1e80)
    figure = claims.draw([replace(VERDICTS[0], findings=(endless,))])
    assert max(map(abs, figure.axes[0].get_xlim())) < 10
    assert findings.interval(endless, "map") == "[−∞, +∞]"


def test_points_are_coloured_by_rank_distance():
    cross = panels(tradeoff.draw(FOUR))[0]
    lowest, highest = matplotlib.colormaps["cividis"]([0.0, 1.0])
    assert to_hex(cross.lines[1].get_markerfacecolor()) == to_hex(lowest)  # untrained: 100
    assert to_hex(cross.lines[2].get_markerfacecolor()) == to_hex(highest)  # monolingual: 600


def test_an_encoder_on_a_data_set_has_two_panels():
    four = [
        cell("monolingual", 0.6, 0.2, dataset=d, encoder=e) for d in ("c", "d") for e in ("e", "f")
    ]
    figure = tradeoff.draw(four)
    bars = [axes for axes in figure.axes if "rank distance" in axes.get_ylabel()]
    assert len(panels(figure)) - len(bars) == 2 * 4
    assert len(bars) == 2
    assert {"e · c", "f · c", "e · d", "f · d"} <= set(texts(figure))


def test_cells_that_alpha_does_not_tell_apart_are_named():
    two = [cell("hybrid", 0.5, b / 100, name=f"hybrid batch {b}") for b in (32, 64)]
    figure = tradeoff.draw([*FOUR[1:3], *two])
    assert {"batch 32", "batch 64"} <= set(texts(figure))
    assert "numbers: α" not in legend(figure)


def test_a_sampler_has_one_colour_in_all_figures():
    bars = panels(languages.draw(FOUR))[0].containers
    assert [to_hex(bar.patches[0].get_facecolor()).upper() for bar in bars] == [
        COLOURS[sampler] for sampler in ALPHA
    ]
    lines = panels(losses.draw(FOUR))[0].lines
    assert [line.get_color().upper() for line in lines] == [
        COLOURS[sampler] for sampler in ALPHA if sampler != "untrained"
    ]


def test_cells_of_one_sampler_have_shades_and_an_unknown_sampler_a_colour():
    several = [cell("hybrid", 0.5, 0.4, name=f"hybrid {a}", alpha=a) for a in (0.8, 0.2)]
    figure = languages.draw([*several, cell("my.module:own", 0.4, 0.3)])
    assert legend(figure) == ["hybrid 0.2", "hybrid 0.8", "my.module:own"]
    colours = [to_hex(p.get_facecolor()) for p in figure.legends[0].get_patches()]
    assert len({*colours, *(c.lower() for c in COLOURS.values())}) == 3 + len(COLOURS)


TEAL = Sampler("teal", lambda _: {}, order=0, colour="#008080", marker="h")  # from outside


def test_a_sampler_from_outside_brings_its_colour_marker_and_place():
    figure = languages.draw([*FOUR, cell(f"{__name__}:TEAL", 0.4, 0.3)])
    teal = figure.legends[0].get_patches()[legend(figure).index(f"{__name__}:TEAL")]
    assert to_hex(teal.get_facecolor()) == "#008080"
    assert legend(figure).index(f"{__name__}:TEAL") < legend(figure).index("monolingual")
    marks = [
        handle.get_marker()
        for handle in legend_handles(tradeoff.draw([cell(f"{__name__}:TEAL", 0.4, 0.3)]))
    ]
    assert marks == ["h"]


def test_bars_stand_for_values():
    mono = panels(languages.draw(FOUR))[0]
    heights = [[patch.get_height() for patch in bar] for bar in mono.containers]
    assert heights == [[0.1, 0.1], [0.6, 0.2], [0.5, 0.4], [0.55, 0.35]]
    assert [tick.get_text() for tick in mono.get_xticklabels()] == ["de", "en"]


def test_the_heat_map_has_query_languages_in_rows_and_ranks_in_its_squares():
    figure = mean_ranks.draw([FOUR[1]])
    axes = panels(figure)[0]
    assert [text.get_text() for text in axes.texts] == ["2.0", "30", "400", "1.2k"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("passage language", "query language")
    assert axes.get_title() == "e · monolingual"
    assert axes.yaxis_inverted()


def test_many_languages_get_no_numbers():
    many = {str(q): {str(p): 1.0 + p for p in range(18)} for q in range(18)}
    figure = mean_ranks.draw([cell(s, 0.5, 0.5, mean_rank=many) for s in list(ALPHA)[:3]])
    assert all(not axes.texts for axes in figure.axes)


def test_heat_maps_of_an_encoder_share_their_colours():
    figure = mean_ranks.draw([FOUR[0], cell("hybrid", 0.5, 0.5, mean_rank={"de": {"de": 9}})])
    assert {axes.collections[0].norm.vmax for axes in panels(figure)[:2]} == {1234.0}


def test_curves_are_means_over_seeds_once_for_all_data_sets():
    figure = losses.draw([*FOUR, *[cell("hybrid", 0.5, 0.5, dataset="other")]])
    training, validation = panels(figure)
    assert len(training.lines) == len(validation.lines) == 3
    np.testing.assert_allclose(training.lines[0].get_xydata(), [[10, 3.0], [20, 1.5]])
    np.testing.assert_allclose(validation.lines[0].get_xydata(), [[20, 1.5]])


def test_training_loss_is_a_running_mean_over_a_tenth_of_the_steps():
    noisy = [(step, float(step % 2)) for step in range(400)]
    line = panels(losses.draw([cell("hybrid", 0.5, 0.5, losses=[noisy])]))[0].lines[0]
    assert len(line.get_ydata()) == 200
    np.testing.assert_allclose(line.get_ydata()[20:-20], 0.5, atol=0.02)


def test_a_perturbation_has_a_panel_with_curves_from_the_clean_queries_on():
    typo, word_drop = panels(robustness.draw(FOUR, PERTURBED))
    assert (typo.get_title(), word_drop.get_title()) == ("typo", "word-drop")
    np.testing.assert_allclose(typo.lines[0].get_xydata(), [[0, 0.175], [0.1, 0.1], [0.2, 0.05]])
    np.testing.assert_allclose(word_drop.lines[0].get_xydata(), [[0, 0.05]])  # the other is missing


def test_a_forest_has_a_panel_for_fractions_and_one_for_ranks():
    figure = claims.draw(VERDICTS)
    fractions, ranks = figure.axes
    shown = [text.get_text() for text in fractions.texts]
    assert shown[:2] == ["It is better", "refuted"]
    assert shown[2:6] == ["a vs b", "+.050 [+.020, +.080]", "a vs c", "−.040 [−.060, −.020]"]
    assert shown[6:] == ["a vs x", "not run"]
    assert "−1,234 [−1,300, −1,100]" in [text.get_text() for text in ranks.texts]
    assert [line.get_marker() for line in fractions.lines[1:4:2]] == ["o", "X"]
    assert len(fractions.lines) == 2 * 2 + 1  # intervals, points and zero


def test_a_forest_of_nothing_run_has_no_axis():
    nothing = Verdict("x", "x", "map", "mono", OPEN, (Finding("d", "a vs b", OPEN, missing=True),))
    (axes,) = claims.draw([nothing]).axes
    assert not axes.axison
    assert [text.get_text() for text in axes.texts] == ["x", "open", "a vs b", "not run"]
    undefined = replace(nothing, findings=(Finding("d", "a vs b", OPEN),))
    (axes,) = claims.draw([undefined]).axes
    assert axes.texts[-1].get_text() == "no value"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0123, 3, "+.012"), (-0.5, 1, "−.5"), (-0.0001, 3, ".000"), (-1234.4, 0, "−1,234")],
)
def test_differences_have_a_sign_unless_they_round_to_nothing(value, digits, text):
    assert signed(value, digits) == text
