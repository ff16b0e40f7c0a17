"""The field study: how each method does on tables and masks that differ, where a user does not know the mechanism."""

from pyro_mnar.studies.field.masks import MASKS, SEED_MASK
from pyro_mnar.studies.field.report import write_tables
from pyro_mnar.studies.field.study import METHODS, SEED_MODELS, field_rows, run_row
from pyro_mnar.studies.field.tables import NAMES
from pyro_mnar.studies.parts import PartedStudy, TableRow

FIELD: PartedStudy[TableRow] = PartedStudy(
    "field",
    field_rows,
    run_row,
    write_tables,
    {"tables": NAMES, "masks": (*MASKS, SEED_MASK), "methods": (*METHODS, *SEED_MODELS)},
)
