"""``pyro-mnar report``: what a saved model is, and why cells are missing according to it."""

from pathlib import Path
from typing import Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.options import Force, SavedModel


def report(
    model: SavedModel,
    out: Annotated[Path | None, typer.Option(help="Write the learned mechanism to this CSV file.")] = None,
    force: Force = False,
) -> None:
    """Show a saved model: its class, its training, and the mechanism that it learned (original units)."""
    from pyro_mnar.cli.show import print_mechanism
    from pyro_mnar.data.atomic import check_destination, replacing

    if out is not None:
        check_destination(out, overwrite=force, inputs=[model])

    from pyro_mnar.persistence import load

    estimator = load(model)
    found = estimator.mechanism_report()
    bounds = estimator.history_.validation_bound or estimator.history_.bound
    which = "held-out rows" if estimator.history_.validation_bound else "training rows"
    say(
        f"{type(estimator).__name__} of {len(estimator.columns_.names)} columns, {estimator.n_iter_} passes over the "
        f"data; bound {bounds[-1]:.3f} nats per row ({which}, standardised scale)"
    )
    print_mechanism(found)
    if out is not None:
        with replacing(out) as temporary:
            found.to_csv(temporary, index=False)
        say(f"Written: {out}")
