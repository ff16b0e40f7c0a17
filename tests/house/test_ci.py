"""The check in `.ci/run` sees a machine that nobody has used, and says what the tests said."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# In the place of make: shows what it was given, and how full the folders are.
STUB = """#!/bin/sh
echo "$@"
for folder in "$HOME" "$XDG_CACHE_HOME" "$XDG_CONFIG_HOME" "$MPLCONFIGDIR" "$TMPDIR"; do
  touch "$folder/left"; ls -A "$folder" | wc -l; echo "$folder"
done
env
exit 7
"""


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_every_folder_is_new_and_empty_and_pip_keeps_its_settings(tmp_path: Path) -> None:
    stub = tmp_path / "make"
    stub.write_text(STUB)
    stub.chmod(0o755)
    given = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "PIP_TIMEOUT": "7",
        "XDG_CONFIG_DIRS": "/etc/somewhere",
        "SURPRISE": "remembered",
    }
    run = subprocess.run(["bash", ROOT / ".ci" / "run"], env=given, capture_output=True, text=True, check=False)
    target, *lines = run.stdout.splitlines()
    assert run.returncode == 7 and target == "test"
    counts, folders = lines[:10:2], [Path(folder) for folder in lines[1:10:2]]
    assert [count.strip() for count in counts] == ["1"] * 5 and len(set(folders)) == 5
    assert tmp_path not in folders and not any(folder.exists() for folder in folders)
    assert {"PIP_TIMEOUT=7", "XDG_CONFIG_DIRS=/etc/somewhere", f"PIP_CACHE_DIR={tmp_path}/.cache/pip"} <= set(lines)
    assert "SURPRISE=remembered" not in lines
