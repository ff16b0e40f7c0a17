"""Fitted estimators on disk, as a folder that anyone may send you: reading it runs no code.

    manifest.json           format, version, class, parameters, columns, library versions, sha256 of the weights
    manifest.json.sha256    sha256 of the manifest, as ``sha256sum -c`` reads it
    weights-*.safetensors   every array and every network weight; its name holds the beginning of its checksum

Everything is checked before anything is built: format and version, the class against a fixed table, sizes, checksums,
and the shape of each weight. A model is replaced so that one valid model is there at any moment. A pickle has no such
checks, and unpickling runs whatever the file says: pickle (and joblib) only files that you made yourself.
"""

from pyro_mnar.persistence.folder import load, save
from pyro_mnar.persistence.place import check_place

__all__ = ["check_place", "load", "save"]
