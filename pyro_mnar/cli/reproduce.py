"""``pyro-mnar reproduce STUDY``: the studies whose results are in ``results/``, one function per study.

A new study is a function with typer's annotations and one line in ``STUDIES`` below. Rows that are finished are kept,
so that an interrupted study goes on where it was.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyro_mnar.cli.faults import one_line_errors
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.studies.parts import PartedStudy

Quick = Annotated[bool, typer.Option("--quick", help="All methods on very little data: to see that it works.")]
Data = Annotated[Path | None, typer.Option(help="Folder with the original data files (else downloaded).")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Rows that run side by side (default: one per core).")]


def images(
    out: Out = Path("results/images"),
    quick: Quick = False,
    workers: Workers = None,
) -> None:
    """Patches of two photographs whose bright pixels are clipped: fill them in, and find the clipping.

    Needs no data; the photographs come with scikit-learn.
    """
    _clipped_images("photo patches", out, None, quick, workers)


def celeba(
    data: Annotated[Path, typer.Option(help="Folder with img_align_celeba.zip and list_eval_partition.txt.")],
    out: Out = Path("results/celeba"),
    quick: Quick = False,
    workers: Workers = None,
) -> None:
    """CelebA, your own copy, whose bright pixels are clipped: fill them in, and find the clipping.

    Nothing is downloaded: CelebA's terms (non-commercial research) are yours to accept. No image is written.
    """
    _clipped_images("celeba", out, data, quick, workers)


def _clipped_images(data: str, out: Path, data_home: Path | None, quick: bool, workers: int | None) -> None:
    from rich.console import Console

    from pyro_mnar.cli.show import print_table
    from pyro_mnar.studies.images import image_study, reproduce_images
    from pyro_mnar.studies.sources.celeba import celeba as read_celeba

    console = Console(stderr=True, markup=False)
    if data == "celeba":
        # Read once, before the processes that would each do so.
        with console.status("reading the images (minutes for all of CelebA, once)"):
            read_celeba(data_home, size=image_study(data, quick).rows[0].size)
    table = reproduce_images(data, out, data_home=data_home, quick=quick, workers=workers, console=console)
    shown = table[["method", "rmse_mean", "rmse_se", "bias", "W", "b", "seconds"]]
    print_table(shown, "Clipped images: error on the missing pixels")
    console.print(f"Written to {out}: README.md, summary.csv, settings.json, rows.jsonl and figures")


def supervised(
    out: Out = Path("results/supervised"),
    data: Data = None,
    quick: Quick = False,
    workers: Workers = None,
) -> None:
    """Predict a class or a number from tables with values missing because of themselves, beside what is usually done.

    Covertype and the two wine tables; the data folder may hold a sample of Covertype (covtype-sample.data.gz).
    """
    from rich.console import Console

    from pyro_mnar.cli.show import print_table
    from pyro_mnar.studies.supervised import reproduce_supervised

    console = Console(stderr=True, markup=False)
    table = reproduce_supervised(out, data_home=data, quick=quick, workers=workers, console=console)
    shown = table[["task", "method", "metric", "mean", "se", "second_metric", "second_mean", "seconds", "n_seeds"]]
    print_table(shown, "Predictions with values missing because of themselves")
    console.print(f"Written to {out}: summary.csv, table.md, figure.png and rows.jsonl")


def uci(
    data: Data = None,
    out: Out = Path("results/uci"),
    quick: Quick = False,
    seeds: Annotated[int, typer.Option(min=1, max=5, help="How many of the five seeds.")] = 5,
    parity: Annotated[bool, typer.Option("--parity", help="Also the authors' settings, 100,000 steps each.")] = False,
    workers: Workers = None,
) -> None:
    """Five UCI tables whose first columns lose all values above their means: every method, beside published numbers."""
    from pyro_mnar.studies.uci.study import reproduce_uci

    written = reproduce_uci(out, quick=quick, seeds=seeds, parity=parity, data_home=data, workers=workers)
    _say_written(out, written)


Part = Annotated[str | None, typer.Option(help="Only these, with commas between the names.")]


def field(
    data: Data = None,
    out: Out = Path("results/field"),
    quick: Quick = False,
    tables: Part = None,
    masks: Part = None,
    methods: Part = None,
    seeds: Part = None,
    workers: Workers = None,
) -> None:
    """Eleven tables under seventeen masks: which method wins where, with nobody told why values are missing.

    Run in pieces with --tables, --masks, --methods and --seeds; tables and picture are made of all finished rows.
    """
    from pyro_mnar.studies.field import FIELD

    _run_part(FIELD, out, {"tables": tables, "masks": masks, "methods": methods}, seeds, quick, data, workers)


def mixed(
    data: Data = None,
    out: Out = Path("results/mixed"),
    quick: Quick = False,
    tables: Part = None,
    masks: Part = None,
    methods: Part = None,
    seeds: Part = None,
    workers: Workers = None,
) -> None:
    """Five tables of counts, piles, caps and levels under three masks: every method, on numbers and on levels.

    Run in pieces with --tables, --masks, --methods and --seeds; tables and picture are made of all finished rows.
    """
    from pyro_mnar.studies.mixed import MIXED

    _run_part(MIXED, out, {"tables": tables, "masks": masks, "methods": methods}, seeds, quick, data, workers)


def mechanisms(
    data: Data = None,
    out: Out = Path("results/mechanisms"),
    quick: Quick = False,
    cases: Part = None,
    methods: Part = None,
    seeds: Part = None,
    workers: Workers = None,
) -> None:
    """Detection limits on public tables, which two laboratories have; selection under t errors, on simulated sets.

    Run in pieces with --cases, --methods and --seeds; tables and pictures are made of all finished rows.
    """
    from pyro_mnar.studies.mechanisms import MECHANISMS

    _run_part(MECHANISMS, out, {"cases": cases, "methods": methods}, seeds, quick, data, workers)


def _run_part(
    study: "PartedStudy[Any]",
    out: Path,
    given: dict[str, str | None],
    seeds: str | None,
    quick: bool,
    data: Path | None,
    workers: int | None,
) -> None:
    part = {what: None if text is None else [name.strip() for name in text.split(",")] for what, text in given.items()}
    try:
        numbers = None if seeds is None else [int(name) for name in seeds.split(",")]
    except ValueError:
        raise InvalidInputError(f"seeds are {seeds!r}; give whole numbers with commas between them") from None
    written = study.reproduce(out, part, seeds=numbers, quick=quick, data_home=data, workers=workers)
    _say_written(out, written)


def _say_written(out: Path, written: list[Path]) -> None:
    from rich.console import Console

    Console(stderr=True, markup=False).print(
        f"Written to {out}: rows.jsonl, " + ", ".join(path.name for path in written)
    )


STUDIES = (uci, images, celeba, supervised, field, mixed, mechanisms)

reproduce = typer.Typer(
    name="reproduce",
    help="Repeat a study; finished rows are kept, so an interrupted one goes on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for study in STUDIES:
    reproduce.command()(one_line_errors(study))
