from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pyro_mnar import MNARImputer
from pyro_mnar.analysis import plots
from pyro_mnar.analysis.plots import parts
from pyro_mnar.datasets import make_mixed_survey
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.replicates import simulate
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.estimators import small_imputer
from tests.support.surveys import NAMES, fitted, imputer, survey


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (found,) = [drawn for drawn in ax.get_lines() if drawn.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def stairs(ax: Axes, label: str) -> StepPatch:
    (found,) = [patch for patch in ax.patches if isinstance(patch, StepPatch) and patch.get_label() == label]
    return found


# Rows: enough for a picture.
N = 300
COMPARISON = pd.DataFrame(
    {"difference": [0.0, -0.1], "difference_se": [0.0, 0.02], "verdict": ["best", "worse"]}, index=["right", "wrong"]
)
SWEEP = pd.DataFrame(
    {"estimate": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}, index=pd.Index([0.0, 3.0], name="delta of income")
)
DRAWERS: dict[str, Callable[[Axes | None], Axes]] = {
    "training_history": lambda ax: plots.training_history(fitted(n=N), ax=ax),
    "mechanism_curves": lambda ax: plots.mechanism_curves(fitted(n=N), survey(0, N)[1], "income", ax=ax),
    "imputed_distribution": lambda ax: plots.imputed_distribution(fitted(n=N), survey(0, N)[1], "income", ax=ax),
    "imputation_intervals": lambda ax: plots.imputation_intervals(fitted(n=N), survey(0, N)[1], "income", ax=ax),
    "ppc_mask": lambda ax: plots.ppc_mask(fitted(n=N), survey(0, N)[1], n_tables=20, ax=ax),
    "ppc_observed": lambda ax: plots.ppc_observed(fitted(n=N), survey(0, N)[1], "income", n_tables=20, ax=ax),
    "missing_pattern": lambda ax: plots.missing_pattern(survey(0, N)[1], ax=ax),
    "weight_health": lambda ax: plots.weight_health(fitted(n=N), survey(0, N)[1], n_draws=100, ax=ax),
    "latent": lambda ax: plots.latent(fitted(n=N), survey(0, N)[1], ax=ax),
    "mechanism_comparison": lambda ax: plots.mechanism_comparison(COMPARISON, ax=ax),
    "sensitivity": lambda ax: plots.sensitivity(SWEEP, ax=ax),
}


@pytest.mark.parametrize("name", DRAWERS)
def test_each_plot_draws_on_the_axes_that_it_is_given_or_on_new_ones(name: str) -> None:
    _, ax = plt.subplots()
    assert DRAWERS[name](ax) is ax
    assert ax.has_data() and ax.get_xlabel() and (ax.get_ylabel() or name in ("ppc_mask", "mechanism_comparison"))
    before = plt.get_fignums()
    assert DRAWERS[name](None).figure.number not in before  # type: ignore[union-attr]


def test_all_plots_are_tested() -> None:
    assert set(plots.__all__) - {"COLOURS"} == set(DRAWERS)


def test_history_shows_the_bounds_and_the_pass_that_was_kept() -> None:
    model = imputer("ignorable", validation_fraction=0.3, max_iter=10).fit(survey(0, 100)[1])
    ax = plots.training_history(model)
    np.testing.assert_array_equal(line(ax, "training")[1], model.history_.bound)
    passes, bounds = line(ax, "held out")
    np.testing.assert_array_equal(bounds, model.history_.validation_bound)
    assert line(ax, "kept")[0].item() == passes[np.argmax(bounds)] and passes[0] == 1


def test_curves_are_those_of_the_report_in_original_units() -> None:
    model, (_, holed) = fitted(n=N), survey(0, N)
    ax = plots.mechanism_curves(model, holed, "income")
    income, chance = line(ax, "model")
    report = model.mechanism_report().iloc[0]
    np.testing.assert_allclose(chance, 1 / (1 + np.exp(-report["slope"] * (income - report["threshold"]))), atol=1e-5)
    assert line(ax, "missing rate")[1][0] == holed["income"].isna().mean()
    span = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([span.x0, span.x1], [holed["income"].min(), holed["income"].max()])
    assert ax.get_xlabel() == "income"


def test_the_curve_of_a_column_of_logarithms_crosses_a_half_at_the_reported_threshold() -> None:
    rng = np.random.default_rng(0)
    income = np.exp(8 + 0.5 * rng.normal(size=400))
    table = pd.DataFrame({"income": income, "other": np.log(income) + 0.3 * rng.normal(size=400)})
    table.loc[income > 4000, "income"] = np.nan
    model = imputer(log_columns=["income"], latent_dim=1).fit(table)
    assert model.columns_.logged == (0,)
    report = model.mechanism_report().iloc[0]
    values, chance = line(plots.mechanism_curves(model, table, "income"), "model")
    assert values.min() < report["threshold"] < values.max()
    assert np.interp(report["threshold"], values, chance) == pytest.approx(0.5, abs=0.02)
    # The slope of the logit is four times that of the curve where that is a half.
    slope = 4 * np.interp(report["threshold"], values, np.gradient(chance, values))
    assert slope == pytest.approx(report["slope"], rel=0.1)
    assert chance[0] < 0.1


LONG = {
    "income": "what_is_the_total_income_of_your_household_per_month",
    "spending": "how much do you spend in an average month on everything",
}


def boxes(texts: list[Text]) -> list[Bbox]:
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def overlap(some: list[Bbox]) -> list[tuple[int, int]]:
    # A pixel of tolerance: extents are rounded up.
    small = [Bbox.from_extents(b.x0 + 1, b.y0 + 1, b.x1 - 1, b.y1 - 1) for b in some]
    return [(i, j) for i, a in enumerate(small) for j, b in enumerate(small[:i]) if a.overlaps(b)]


def crowded(ax: Axes) -> list[str]:
    """Name what lies over another text, or beyond the edge of the figure."""
    ax.figure.canvas.draw()
    whole = ax.figure.bbox.padded(1)
    found = []
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = boxes([tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high])
        ends = boxes([axis.label])
        if overlap(ticks + ends):
            found.append(f"{axis.axis_name}: labels overlap")
        if any(b.x0 < whole.x0 or b.x1 > whole.x1 or b.y0 < whole.y0 or b.y1 > whole.y1 for b in ticks + ends):
            found.append(f"{axis.axis_name}: a label is cut")
    return found


def table_of(n_columns: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = [f"{('mean', 'standard error', 'worst')[j % 3]} measurement number {j}" for j in range(n_columns)]
    x = rng.normal(size=(40, n_columns))
    return pd.DataFrame(np.where(rng.random(x.shape) < 0.1, np.nan, x), columns=names)


CROWDED: dict[str, Callable[[], Axes]] = {
    **{name: partial(draw, None) for name, draw in DRAWERS.items()},
    "models": lambda: plots.mechanism_comparison(COMPARISON.set_axis(list(LONG.values()))),
    "two long names": lambda: plots.missing_pattern(survey(0, N)[1].rename(columns=LONG)),
    "thirty": lambda: plots.missing_pattern(table_of(30)),
    "a hundred": lambda: plots.missing_pattern(table_of(100)),
    "checks": lambda: plots.ppc_mask(
        imputer(max_iter=3).fit(survey(0, 100)[1].rename(columns=LONG)),
        survey(0, 100)[1].rename(columns=LONG),
        n_tables=20,
    ),
}


@pytest.mark.parametrize("name", CROWDED)
def test_long_names_have_room(name: str) -> None:
    assert crowded(CROWDED[name]()) == []


def drawn_points(ax: Axes) -> np.ndarray:
    """Where the data are, in pixels: markers, ends of lines, corners of steps."""
    parts = [
        ax.transData.transform(found.get_xydata())
        for found in ax.get_lines()
        if found.get_transform().contains_branch(ax.transData)
    ]
    parts += [
        ax.transData.transform(np.asarray(part.get_offsets())) for part in ax.collections if len(part.get_paths()) == 1
    ]
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            heights, edges, _ = patch.get_data()
            parts.append(ax.transData.transform(np.column_stack([(edges[1:] + edges[:-1]) / 2, heights])))
    return np.concatenate(parts)


@pytest.mark.parametrize("name", [name for name in DRAWERS if name not in ("missing_pattern", "mechanism_comparison")])
def test_legends_hide_no_data(name: str) -> None:
    ax = DRAWERS[name](None)
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    if legend is None:
        assert name == "latent"  # Without a column there is nothing to tell apart.
        return
    x, y = drawn_points(ax).T
    box = legend.get_window_extent()
    # Lines across the whole picture pass below it as well.
    inside = (box.y0 < y) & (y < box.y1) & (box.x0 < x) & (x < box.x1)
    assert not inside.any()
    assert box.x0 >= ax.bbox.x0 and box.x1 <= ax.bbox.x1


def test_colours_are_told_apart_by_colour_blind_readers() -> None:
    """Lightness differs, or blue against yellow does: neither needs the red and green cones to be different."""

    def seen(colour: str) -> np.ndarray:
        # Protanopia, Vienot, Brettel & Mollon 1999, on linear values.
        linear = np.array(to_rgb(colour)) ** 2.2
        return (np.array([[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.004, -0.004, 1.0]]) @ linear).clip(0) ** (
            1 / 2.2
        )

    together = [parts.OBSERVED, parts.TRUE, parts.DATA, parts.IMPUTED, parts.MIWAE]
    for i, a in enumerate(together):
        for b in together[:i]:
            assert np.abs(seen(a) - seen(b)).max() > 0.15, (a, b)


def test_curves_of_several_models_have_their_names_and_bands_where_the_other_values_matter() -> None:
    _, holed = survey(0, N)
    models = {"self-masking": fitted(n=N), "linear": imputer("linear", max_iter=10).fit(holed)}
    ax = plots.mechanism_curves(models, holed, "income")
    assert labels(ax) == ["observed values", "self-masking", "linear", "missing rate"]
    assert len(ax.collections) == 1  # A self-masking curve has no band.
    with pytest.raises(InvalidInputError, match="no mechanism for column 'age'"):
        plots.mechanism_curves(fitted(n=N), holed, "age")
    with pytest.raises(InvalidInputError, match="no mechanism for column 'income'"):
        plots.mechanism_curves(fitted("ignorable", n=N), holed, "income")


def test_distribution_adds_up_to_the_column() -> None:
    complete, holed = survey(0, N)
    ax = plots.imputed_distribution(fitted(n=N), holed, "income", truth=complete, n_imputations=5)
    hidden = holed["income"].isna()
    for label, count, values in (
        ("observed", (~hidden).sum(), complete["income"][~hidden]),
        ("imputed", hidden.sum(), fitted(n=N).posterior(holed).sample(5)[:, hidden, 0].ravel()),
        ("true, missing cells", hidden.sum(), complete["income"][hidden]),
    ):
        heights, edges, _ = stairs(ax, label).get_data()
        assert heights.sum() == pytest.approx(count)
        middle = ((edges[1:] + edges[:-1]) / 2 * heights).sum() / heights.sum()
        assert middle == pytest.approx(values.mean(), abs=np.diff(edges)[0])


def test_intervals_are_the_posterior_quantiles_and_count_their_hits() -> None:
    complete, holed = survey(0, N)
    ax = plots.imputation_intervals(fitted(n=N), holed, "income", truth=complete, level=0.8, max_cells=10)
    hidden = holed["income"].isna().to_numpy()
    low, middle, high = fitted(n=N).posterior(holed).quantile([0.1, 0.5, 0.9])[:, hidden, 0]
    truth = complete["income"].to_numpy()[hidden]
    assert ax.get_title() == f"{100 * ((low <= truth) & (truth <= high)).mean():.0f} % of the true values inside"
    shown = line(ax, "median")[1]
    assert len(shown) == 10 and shown[0] == middle.min() and shown[-1] == middle.max()
    segments = np.array(ax.collections[0].get_segments())
    order = np.argsort(middle)[[0, -1]]
    np.testing.assert_allclose(segments[[0, -1]][:, :, 1], np.column_stack([low[order], high[order]]))
    with pytest.raises(InvalidInputError, match="no missing cell"):
        plots.imputation_intervals(fitted(n=N), holed, "age")
    with pytest.raises(InvalidInputError, match="'wage' is not a column"):
        plots.imputation_intervals(fitted(n=N), holed, "wage")


def test_mask_check_shows_rates_and_flags() -> None:
    _, holed = survey(0, N)
    ax = plots.ppc_mask(fitted(n=N), holed, n_tables=100)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["income", "spending", "income and spending"]
    hidden = holed.isna()
    rates, places = line(ax, "data")
    both = (hidden["income"] & hidden["spending"]).mean()
    np.testing.assert_allclose(rates, [hidden["income"].mean(), hidden["spending"].mean(), both])
    bars = np.array(ax.collections[0].get_segments())
    assert ((bars[:, 0, 0] <= rates) & (rates <= bars[:, 1, 0])).all() and (bars[:, 0, 1] == places).all()
    more = holed.copy()
    more.iloc[:300, 0] = np.nan
    assert "data, flagged" in labels(plots.ppc_mask(fitted(n=N), more, n_tables=200))


def test_mask_check_has_one_line_for_the_labels_of_a_column() -> None:
    table = make_mixed_survey(100)[0][["age", "region", "income"]]
    model = MNARImputer(max_iter=2, random_state=0).fit(table)
    ax = plots.ppc_mask(model, table, n_tables=20)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["region", "income", "region and income"]
    rates, _ = line(ax, "data")
    assert rates[0] == pytest.approx(table["region"].isna().mean())


def test_value_check_shows_the_observed_values_and_a_band_after_selection() -> None:
    _, holed = survey(0, N)
    ax = plots.ppc_observed(fitted(n=N), holed, "income", n_tables=50)
    bars = [bar for container in ax.containers for bar in container]
    area = sum(bar.get_height() * bar.get_width() for bar in bars)
    assert area == pytest.approx(1, abs=0.01)
    upper, edges, lower = stairs(ax, "model after selection, 90 %").get_data()
    height = np.array([bar.get_height() for bar in bars])
    assert ((lower <= height) & (height <= upper)).mean() > 0.6
    simulated = simulate(fitted(n=N), holed, n_tables=50)
    all_values = np.histogram(simulated.values[..., 0], edges, density=True)[0]
    # Without the selection the band would lie elsewhere: most of the model's high incomes are hidden.
    assert (all_values[-5:] > upper[-5:]).any()


def test_patterns_are_counted() -> None:
    table = pd.DataFrame({"a": [1, np.nan, np.nan, 1, 1], "b": [1, 1, 1, np.nan, 1]})
    ax = plots.missing_pattern(table)
    image = np.asarray(ax.images[0].get_array())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["2", "2", "1"]
    assert image.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a\n40 %", "b\n20 %"]
    assert next(text.get_text() for text in plots.missing_pattern(table.to_numpy()).get_xticklabels()) == "x0\n40 %"


def test_health_shows_every_row_on_its_side_of_the_limits() -> None:
    _, holed = survey(0, N)
    ax = plots.weight_health(fitted(n=N), holed, n_draws=200)
    posterior = fitted(n=N).posterior(holed, 200)
    good = posterior.reliable
    effective, k = line(ax, f"reliable ({good.sum():,} rows)")
    np.testing.assert_allclose(effective, posterior.ess[good])
    limit = ax.get_lines()[2].get_ydata()[0]  # type: ignore[index]
    assert (k < limit).all() and (effective >= ax.get_lines()[3].get_xdata()[0]).all()  # type: ignore[index]
    assert len(line(ax, f"unreliable ({(~good).sum():,} rows)")[0]) == (~good).sum()


def test_latent_plane_has_every_row_and_its_colours() -> None:
    _, holed = survey(0, N)
    ax = plots.latent(fitted(n=N), holed, "income")
    seen, missing = ax.collections
    assert len(seen.get_offsets()) == holed["income"].notna().sum()
    assert len(missing.get_offsets()) == holed["income"].isna().sum()
    np.testing.assert_allclose(seen.get_array(), holed["income"].dropna())
    spread = np.concatenate([seen.get_offsets(), missing.get_offsets()])
    assert spread[:, 0].std() >= spread[:, 1].std() and abs(np.corrcoef(spread.T)[0, 1]) < 0.01
    single = plots.latent(imputer("ignorable", latent_dim=1, max_iter=1).fit(holed), holed)
    assert len(single.collections[0].get_offsets()) == len(holed)


def test_comparison_and_sensitivity_show_their_tables() -> None:
    ax = plots.mechanism_comparison(COMPARISON)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["right", "wrong"]
    assert {float(container.lines[0].get_xdata()[0]) for container in ax.containers} == {0.0, -0.1}
    bars = [segment for container in ax.containers for segment in container.lines[2][0].get_segments()]
    assert any(np.allclose(segment[:, 0], [-0.14, -0.06]) for segment in bars)
    ax = plots.sensitivity(SWEEP, reference=1.2)
    np.testing.assert_array_equal(line(ax, "estimate"), ([0.0, 3.0], [1.0, 2.0]))
    assert line(ax, "reference")[1][0] == 1.2
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(0.0, 0.5), (0.0, 1.5), (3.0, 1.5), (3.0, 2.5)} <= {tuple(corner) for corner in corners}
    assert ax.get_xlabel() == "delta of income"


def test_columns_can_be_given_by_position() -> None:
    _, holed = survey(0, N)
    assert plots.mechanism_curves(fitted(n=N), holed, 1).get_xlabel() == NAMES[1]


@functools.cache
def mixed() -> tuple[MNARImputer, pd.DataFrame, pd.DataFrame]:
    survey, complete = make_mixed_survey(200)
    return small_imputer(mechanism=SelfMasking(), start="neutral").fit(survey), survey, complete


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        ("region", ["east", "north", "south", "west"]),
        ("education", ["primary", "secondary", "college", "university"]),
        ("satisfaction", ["1", "2", "3", "4", "5"]),
        ("sex", ["female", "male"]),
    ],
)
def test_levels_are_bars_with_their_names(column: str, levels: list[str]) -> None:
    model, given, complete = mixed()
    ax = plots.imputed_distribution(model, given, column, truth=complete, n_imputations=4)
    observed, true, imputed = (
        next(c for c in ax.containers if c.get_label() == name)
        for name in ("observed", "true, missing cells", "imputed")
    )
    named = given[column].astype(object).map(str, na_action="ignore")
    assert [bar.get_height() for bar in observed] == [int((named == level).sum()) for level in levels]
    hidden = given[column].isna()
    assert [bar.get_height() for bar in true] == [
        (complete[column][hidden].map(str) == level).sum() for level in levels
    ]
    assert sum(bar.get_height() for bar in imputed) == pytest.approx(hidden.sum())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == levels
    checked = plots.ppc_observed(model, given, column, n_tables=20)
    shares = next(c for c in checked.containers if c.get_label() == "data, observed")
    assert sum(bar.get_height() for bar in shares) == pytest.approx(1.0)
    assert [tick.get_text() for tick in checked.get_xticklabels()] == levels
    curve = plots.mechanism_curves(model, given, column)
    assert curve.lines[0].get_xdata().tolist() == list(range(len(levels)))
    assert [tick.get_text() for tick in curve.get_xticklabels()] == levels


def test_intervals_of_levels_have_their_names_and_labels_have_none() -> None:
    model, given, complete = mixed()
    ax = plots.imputation_intervals(model, given, "education", truth=complete)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["primary", "secondary", "college", "university"]
    with pytest.raises(InvalidInputError, match="'region' holds labels without an order"):
        plots.imputation_intervals(model, given, "region")


def test_the_curve_of_levels_is_that_of_the_report() -> None:
    model, given, _ = mixed()
    j, levels = model.columns_.names.index("satisfaction"), model.layout_.levels
    scores = next(level.scores for level in levels if level.column == j)
    curve = model.joint_.mechanism.curve()
    assert curve is not None
    with torch.no_grad():
        expected = curve.at(torch.tensor([j])).log_missing(torch.tensor(scores)).exp()
    drawn = plots.mechanism_curves(model, given, "satisfaction").lines[0].get_ydata()
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
