"""Grey images as arrays: patches of scikit-learn's photographs, which need no data, and faces from a copy of CelebA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyro_mnar.datasets.extra import needed
from pyro_mnar.errors import InvalidInputError

Pixels = npt.NDArray[np.uint8]
FloatImages = npt.NDArray[np.float64]

#: Part, left and right end of the strips of a photograph, in tenths of its width.
_STRIPS = (
    ("train", 0, 3),
    ("test", 3, 4),
    ("train", 4, 5),
    ("validation", 5, 6),
    ("train", 6, 7),
    ("test", 7, 8),
    ("train", 8, 10),
)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Grey images in the parts of a split.

    Attributes
    ----------
    name : str
        Short name.
    train, validation, test : ndarray
        Grey values 0 to 255, shape (n, h, w) each.
    provenance, licence, citation : str
        Where they come from; terms of use; authors and year.

    Examples
    --------
    >>> data = photo_patches(size=32)
    >>> data.train.shape[1:], bool(data.scaled("test").max() <= 1)
    ((32, 32), True)
    """

    name: str
    train: Pixels
    validation: Pixels
    test: Pixels
    provenance: str
    licence: str
    citation: str

    def scaled(self, part: str) -> FloatImages:
        """One part with grey values in [0, 1], shape (n, h, w).

        Raises
        ------
        InvalidInputError
            A part that is not "train", "validation" or "test".
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        if part not in parts:
            raise InvalidInputError(f"there is no part {part!r}; the parts are {list(parts)}")
        return parts[part] / 255.0


def photo_patches(size: int = 32, stride: int = 16, zoom: int = 2) -> ImageData:
    """Overlapping square patches of the two photographs that come with scikit-learn, in grey.

    Each photograph is cut into ten upright strips: the fourth and the eighth give the test part, the sixth the
    validation part and the others the training part, and no pixel is in two parts. The sky of one photograph grows
    brighter from left to right, so halves, or a strip at one end, would differ. Strips are enlarged before they are cut
    into patches: at the photographs' own resolution patches are mostly texture, which small models take for noise.

    Parameters
    ----------
    size : int
        Side of a patch in pixels.
    stride : int
        Pixels from one patch to the next, across and down.
    zoom : int
        How many pixels wide a pixel of the photographs becomes, by bilinear interpolation.

    Returns
    -------
    ImageData

    Raises
    ------
    DatasetError
        Pillow is not installed.
    InvalidInputError
        A size, stride or zoom that gives no patch.

    References
    ----------
    ``sklearn.datasets.load_sample_images``: china.jpg (danielbuechele) and flower.jpg (vultilion), CC BY 2.0.

    Examples
    --------
    >>> photo_patches(size=64, stride=64).train.shape
    (364, 64, 64)
    """
    if min(stride, zoom) < 1 or not 1 <= size <= 64:
        raise InvalidInputError(
            f"size is {size}, stride {stride} and zoom {zoom}; size must be 1 to 64, stride and zoom at least 1"
        )
    Image = needed("PIL.Image")
    from sklearn.datasets import load_sample_images

    parts: dict[str, list[Pixels]] = {"train": [], "validation": [], "test": []}
    for photograph in load_sample_images().images:
        grey = grey_values(photograph)
        for name, left, right in _STRIPS:
            strip = grey[:, left * grey.shape[1] // 10 : right * grey.shape[1] // 10]
            height, width = (zoom * side for side in strip.shape)
            large = np.asarray(Image.fromarray(strip).resize((width, height), Image.Resampling.BILINEAR))
            parts[name].extend(
                large[top : top + size, at : at + size]
                for top in range(0, height - size + 1, stride)
                for at in range(0, width - size + 1, stride)
            )
    arrays = {name: np.array(found, dtype=np.uint8).reshape(-1, size, size) for name, found in parts.items()}
    return ImageData(
        name="photo patches",
        **arrays,
        provenance="china.jpg and flower.jpg of sklearn.datasets.load_sample_images",
        licence="CC BY 2.0",
        citation="china.jpg: danielbuechele, www.flickr.com/photos/danielbuechele/6061409035; "
        "flower.jpg: vultilion, www.flickr.com/photos/vultilion/6056698931",
    )


def grey_values(colour: Pixels) -> Pixels:
    """ITU-R 601 luma of an RGB image, shape (h, w, 3) -> (h, w): what Pillow's mode "L" gives, up to rounding.

    Examples
    --------
    >>> grey_values(np.full((1, 1, 3), 200, dtype=np.uint8))
    array([[200]], dtype=uint8)
    """
    luma = colour.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.rint(luma).astype(np.uint8)
