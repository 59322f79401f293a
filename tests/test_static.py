"""Static files: what the browser gets, from where, and how much of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from flask import Flask

import flask_expvar as expvar
from flask_expvar.web import files

STATIC = Path(files.__file__).parent / "static"
TEMPLATES = Path(files.__file__).parent / "templates"
MANIFESTS = sorted(STATIC.glob("vendor/*/manifest.json"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_vendored_files_are_those_of_their_manifest(path: Path) -> None:
    manifest = json.loads(path.read_text())

    assert path.parent.name == f"{manifest['name']}-{manifest['version']}"
    assert {each.name for each in path.parent.iterdir()} == {*manifest["files"], "manifest.json"}
    assert "LICENSE" in manifest["files"]
    for name, file in manifest["files"].items():
        digest = hashlib.sha384((path.parent / name).read_bytes()).digest()
        assert file["integrity"] == f"sha384-{base64.b64encode(digest).decode()}", name


def test_there_is_vendored_code_to_check() -> None:
    assert MANIFESTS


def test_nothing_is_fetched_from_elsewhere() -> None:
    ours = [*STATIC.glob("*.js"), *STATIC.glob("*.css"), *TEMPLATES.rglob("*.html")]

    for path in ours:
        text = path.read_text()
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", text), path.name
        assert not re.search(r"\s(style|on\w+)=[\"']|innerHTML|\|\s*safe\b", text), path.name


def test_script_and_style_of_the_heaviest_page_are_small() -> None:
    def packed(pattern: str) -> int:
        return sum(len(gzip.compress(path.read_bytes())) for path in STATIC.rglob(pattern))

    assert packed("*.css") <= 10_000
    assert packed("*.js") <= 30_000


def test_a_browser_keeps_a_file_until_its_content_changes() -> None:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = token = "a-token-of-the-tests-0123456789"
    expvar.Expvar(app, registry=expvar.Registry())
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}

    page = client.get("/debug/", headers=headers).text
    links = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)

    assert len({link.partition("?")[0] for link in links}) == 4
    for link in links:
        answer = client.get(f"/debug/{link}", headers=headers)
        assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True)
    stale = client.get(f"/debug/{links[0].partition('?')[0]}?v=old", headers=headers)
    assert stale.headers["Cache-Control"] == "no-store"
