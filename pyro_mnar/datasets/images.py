"""Grey images as arrays: patches of scikit-learn's photographs, which need no data, and faces from a copy of CelebA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyro_mnar.errors import DatasetError, InvalidInputError

Pixels = npt.NDArray[np.uint8]
FloatImages = npt.NDArray[np.float64]


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


def photo_patches(size: int = 32, stride: int = 8) -> ImageData:
    """Overlapping square patches of the two photographs that come with scikit-learn, in grey.

    Each photograph is cut from left to right: the first 70 % of its width give the training part, the next 10 % the
    validation part and the rest the test part, and no pixel is in two parts.

    Parameters
    ----------
    size : int
        Side of a patch in pixels.
    stride : int
        Pixels from one patch to the next, across and down.

    Returns
    -------
    ImageData

    Raises
    ------
    DatasetError
        Pillow is not installed.
    InvalidInputError
        A size or stride that gives no patch.

    References
    ----------
    ``sklearn.datasets.load_sample_images``: china.jpg (danielbuechele) and flower.jpg (vultilion), CC BY 2.0.

    Examples
    --------
    >>> photo_patches(size=64, stride=32).train.shape
    (312, 64, 64)
    """
    if stride < 1 or not 1 <= size <= 64:
        raise InvalidInputError(f"size is {size} and stride {stride}; a side of 1 to 64 and a stride of 1 or more fit")
    pillow()  # scikit-learn reads the photographs with it.
    from sklearn.datasets import load_sample_images

    parts: dict[str, list[Pixels]] = {"train": [], "validation": [], "test": []}
    for photograph in load_sample_images().images:
        grey = grey_values(photograph)
        width = grey.shape[1]
        cuts = (0, int(0.7 * width), int(0.8 * width), width)
        for found, left, right in zip(parts.values(), cuts[:-1], cuts[1:], strict=True):
            found.extend(
                grey[top : top + size, at : at + size]
                for top in range(0, grey.shape[0] - size + 1, stride)
                for at in range(left, right - size + 1, stride)
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


def pillow() -> Any:
    """Pillow's module ``Image``.

    Raises
    ------
    DatasetError
        It is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError(
            "images are read with Pillow, which is not installed: pip install 'pyro-mnar[images]'"
        ) from error
    return Image
