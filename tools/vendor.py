"""Fetch the vendored files of flask_expvar/web/static/vendor anew from npm, and check them.

    python tools/vendor.py                          # as the manifests say
    python tools/vendor.py idiomorph 0.8.1          # another version; remove the old folder

Needs npm. Each folder holds what the browser gets, the licence, and manifest.json: the name, the
version and the integrity of npm's package, and for each file where it is in there and its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parent.parent / "flask_expvar" / "web" / "static" / "vendor"


def main(*wanted: str) -> None:
    """Refresh every library, or move one to another version."""
    for path in sorted(VENDOR.glob("*/manifest.json")):
        manifest = json.loads(path.read_text())
        if not wanted:
            refresh(path.parent, manifest)
        elif manifest["name"] == wanted[0]:
            name, version = wanted
            moved = {**manifest, "version": version, "integrity": _told(name, version)}
            refresh(VENDOR / f"{name}-{version}", moved)


def refresh(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the files of one library, and its manifest with their integrity."""
    with tempfile.TemporaryDirectory() as place:
        package = f"{manifest['name']}@{manifest['version']}"
        subprocess.run(["npm", "pack", "--silent", package], cwd=place, check=True)
        (packed,) = Path(place).glob("*.tgz")
        found = integrity(packed.read_bytes(), "sha512")
        if found != manifest["integrity"]:
            sys.exit(f"{package} is {found}, and should be {manifest['integrity']}")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(packed) as archive:
            for name, file in manifest["files"].items():
                member = archive.extractfile(f"package/{file['from']}")
                content = member.read() if member else b""
                (folder / name).write_bytes(content)
                file["integrity"] = integrity(content)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(package, *manifest["files"])


def integrity(content: bytes, algorithm: str = "sha384") -> str:
    """Return what the attribute ``integrity`` of HTML has for *content*."""
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


def _told(name: str, version: str) -> str:
    command = ["npm", "view", f"{name}@{version}", "dist.integrity"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
