"""Third-party files that we serve: each is listed with its hash and equals the file in its npm package."""

import shutil
from pathlib import Path

from local import vendored

LISTS = {"vendored.json"}


def test_every_vendored_file_is_listed_with_its_version_license_and_hash() -> None:
    assert vendored.lists()
    for folder, listing in vendored.lists().items():
        files = {path.name for path in folder.iterdir() if not path.name.startswith("LICENSE")}
        assert files - LISTS == {entry["file"] for entry in listing["files"]}
        for entry in listing["files"]:
            assert vendored.sha256((folder / entry["file"]).read_bytes()) == entry["sha256"]
            assert entry["licence"] and entry["why"]
            assert f"{entry['package']}@{entry['version']}" in listing["integrity"]
            for name in entry["licences"]:
                assert (folder / name).read_text(encoding="utf-8").strip()


def test_every_vendored_file_equals_the_file_in_its_npm_package() -> None:
    assert vendored.differences() == []


def test_one_changed_byte_is_reported(tmp_path: Path) -> None:
    shutil.copytree(vendored.ROOT / "web" / "console", tmp_path / "web" / "console")
    folder, listing = next(iter(vendored.lists(tmp_path).items()))
    entry = listing["files"][0]
    file = folder / entry["file"]
    file.write_bytes(file.read_bytes() + b"\n")
    assert vendored.differences(tmp_path) == [
        f"{file.name} is not preact/standalone.module.js of htm@{entry['version']}"
    ]
