"""The image study: bright pixels are lost by an unknown clipping curve, which is learned along with the pixels."""

from pyro_mnar.studies.images.rows import ImageRow, image_study
from pyro_mnar.studies.images.tables import reproduce_images, write_results

__all__ = ["ImageRow", "image_study", "reproduce_images", "write_results"]
