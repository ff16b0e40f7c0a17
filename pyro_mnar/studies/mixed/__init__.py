"""The study of mixed tables: counts, piles, caps, ordered and unordered levels, as people have them."""

from pyro_mnar.studies.mixed.masks import MASKS
from pyro_mnar.studies.mixed.report import write_tables
from pyro_mnar.studies.mixed.study import METHODS, mixed_rows, run_row
from pyro_mnar.studies.mixed.tables import TABLES
from pyro_mnar.studies.parts import PartedStudy, TableRow

MIXED: PartedStudy[TableRow] = PartedStudy(
    "mixed", mixed_rows, run_row, write_tables, {"tables": (*TABLES,), "masks": MASKS, "methods": METHODS}
)
