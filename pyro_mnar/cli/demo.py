"""``pyro-mnar demo``: imputers side by side on a real table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pyro_mnar.studies.demo import Outcome


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the tables and the figure.")] = Path("results/demo"),
    random_state: Annotated[int, typer.Option(min=0, help="Of every method.")] = 0,
    max_iter: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; fewer are for a quick look only.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Methods that run side by side (default 2).")] = None,
) -> None:
    """Impute a real table of which the true values are known, by seven methods, and show what each makes of it.

    Breast cancer, 569 x 30: the first half of the features lose every value above their mean.
    """
    from rich.console import Console

    from pyro_mnar.cli.show import print_table
    from pyro_mnar.studies.demo import FILES, KNOWN, METHODS, DemoSettings, prepare_folder, run

    prepare_folder(out)
    console = Console(stderr=True, markup=False)
    console.print("Breast cancer, 569 x 30; the first 15 features lose every value above their mean.")

    def finished(outcome: "Outcome") -> None:
        console.print(f"  {outcome.method}: {outcome.seconds:.1f} s", highlight=False)
        for warning in outcome.warnings:
            console.print(f"    warning: {warning}", highlight=False, soft_wrap=True)

    with console.status(f"{len(METHODS)} methods, a few minutes in all"):
        result = run(DemoSettings(random_state, max_iter=max_iter, workers=workers), out, finished)
    summary = result.summary.rename(columns={"rmse": "RMSE on missing cells (sd)"})
    print_table(summary.sort_values("RMSE on missing cells (sd)", ascending=False), "Imputation of the missing cells")
    learned = result.mechanism[result.mechanism["model"] == KNOWN]
    print_table(
        learned.drop(columns=["model", "words"], errors="ignore"), f"Why cells are missing, as learned by {KNOWN}"
    )
    console.print(f"Written to {out}: {', '.join(FILES)}")
