"""What others wrote and we serve: each file is listed, has the hash that was written down, and is its package's."""

import shutil
from pathlib import Path

from local import vendored

ABOUT = {"vendored.json"}


def test_every_vendored_file_is_listed_with_its_version_licence_and_hash() -> None:
    assert vendored.lists()
    for folder, said in vendored.lists().items():
        files = {path.name for path in folder.iterdir() if not path.name.startswith("LICENSE")}
        assert files - ABOUT == {one["file"] for one in said["files"]}
        for one in said["files"]:
            assert vendored.sha256((folder / one["file"]).read_bytes()) == one["sha256"]
            assert one["licence"] and one["why"]
            assert f"{one['package']}@{one['version']}" in said["integrity"]
            for name in one["licences"]:
                assert (folder / name).read_text(encoding="utf-8").strip()


def test_every_vendored_file_equals_the_one_of_its_npm_package() -> None:
    assert vendored.differences() == []


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    shutil.copytree(vendored.ROOT / "web" / "console", tmp_path / "web" / "console")
    changed = next(iter(vendored.lists(tmp_path).items()))
    file = changed[0] / changed[1]["files"][0]["file"]
    file.write_bytes(file.read_bytes() + b"\n")
    assert vendored.differences(tmp_path) == [
        f"{file.name} is not preact/standalone.module.js of htm@{changed[1]['files'][0]['version']}"
    ]
