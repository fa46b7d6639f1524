"""The files of the web pages as they are served: under which path, and how long a browser may keep them.

Scripts and style sheets are served in a folder that is named by a hash of them all, so a browser keeps them for ever,
and a page never mixes two releases. An HTML page is served under its own path and is revalidated at each load. Its
addresses lead into that folder, and it names every module that it imports, so that the browser requests them all at
once and not one level of imports after another. ``shared/first_view.js`` gets the modules of each view to do the same
for the view that is opened first. Everything else keeps its path and is revalidated.

The installer uploads these files, the local front serves them, and ``make watch`` compares a site with them. Sources:
https://developer.mozilla.org/en-US/docs/Web/HTML/Reference/Attributes/rel/modulepreload
https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/Caching#caching_static_assets
"""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
import os
import posixpath
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ASSETS = "assets/"
"""The folder of the folders that are named by a hash."""
CACHE_FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
COMPRESSED_TYPES = frozenset({"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"})
"""Those of our types that CloudFront compresses, from 1,000 to 10,000,000 bytes.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
"""
COMPRESSED_SIZES = range(1_000, 10_000_001)

_ADDRESS = re.compile(r'(?P<name>\s(?:src|href)=")(?P<address>[^"#]+)(?=")')
_ENTRY = re.compile(r'^(?P<indent> *)<script type="module" src="(?P<src>[^"]+)"></script>\n', re.MULTILINE)
_FIRST_VIEW = re.compile(r'(?P<tag><script [^>]*src="[^"]*first_view\.js"[^>]*)>')
_IMPORT = re.compile(r"""^\s*(?:import|export)\b[^"';]*?\bfrom\s*["'](\.[^"']+)["']""", re.MULTILINE)
_LATER_IMPORT = re.compile(r"""\bimport\(["'](\.[^"']+)["']\)""")


@dataclass(frozen=True)
class WebFile:
    """A file: its content, its media type, and its ``Cache-Control``."""

    content: bytes
    media_type: str
    cache_control: str

    @cached_property
    def etag(self) -> str:
        """The weak ETag that CloudFront makes of S3's when it may compress a file."""
        return f'W/"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'

    @cached_property
    def compressed(self) -> bytes | None:
        """The content by gzip; None if CloudFront would not compress it."""
        is_text = self.media_type.partition(";")[0] in COMPRESSED_TYPES
        return gzip.compress(self.content, mtime=0) if is_text and len(self.content) in COMPRESSED_SIZES else None


def web_files(root: Path) -> dict[str, WebFile]:
    """Return every served file of a folder by its path, without the first slash: ``assets/5c1d…/student/app.js``."""
    sources = {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }
    folder = assets_folder(sources)
    files = {}
    for path, content in sources.items():
        media_type = content_type(path)
        if is_asset(path):
            files[folder + path] = WebFile(content, media_type, CACHE_FOREVER)
        elif path.endswith(".html"):
            page = _with_assets(path, content.decode(), sources, f"/{folder}")
            files[path] = WebFile(page.encode(), media_type, REVALIDATE)
        else:
            files[path] = WebFile(content, media_type, REVALIDATE)
    return files


def modification_times(root: Path) -> list[tuple[str, int, int]]:
    """Return the path, the time of the last change in ns and the size of each file of a folder."""
    times = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = f"{folder}/{name}"
            stat = os.stat(path)
            times.append((path, stat.st_mtime_ns, stat.st_size))
    return times


def is_asset(path: str) -> bool:
    """Return whether a file is a script or a style sheet, which only our pages and modules name."""
    return path.endswith((".js", ".css"))


def assets_folder(sources: Mapping[str, bytes]) -> str:
    """Return the folder of the scripts and style sheets: ``assets/5c1d0a7b9e3f4a21/``."""
    digest = hashlib.sha256()
    for path, content in sorted(sources.items()):
        if is_asset(path):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return f"{ASSETS}{digest.hexdigest()[:16]}/"


def _with_assets(page: str, text: str, sources: Mapping[str, bytes], folder: str) -> str:
    """Let a page's addresses lead into the folder of assets, and add the modules that its script imports."""

    def path_of(address: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(page), address))

    def preloads(entry: re.Match[str]) -> str:
        modules = imported_modules(path_of(entry["src"]), sources)
        links = [f'{entry["indent"]}<link rel="modulepreload" href="{folder}{module}">\n' for module in modules]
        return entry[0] + "".join(links)

    def views(script: re.Match[str]) -> str:
        later = {
            name: [folder + module for module in modules]
            for entry in _ENTRY.finditer(text)
            for name, modules in later_modules(path_of(entry["src"]), sources).items()
        }
        return f"{script['tag']} data-modules='{json.dumps(later, separators=(',', ':'))}'>"

    def address(match: re.Match[str]) -> str:
        path = path_of(match["address"])
        return match["name"] + folder + path if is_asset(path) and path in sources else match[0]

    return _ADDRESS.sub(address, _FIRST_VIEW.sub(views, _ENTRY.sub(preloads, text)))


def imported_modules(entry: str, sources: Mapping[str, bytes]) -> list[str]:
    """Return the modules that one imports, directly or not, nearest first, without those only ``import()`` reaches.

    The latter are for later: another view, or one of several languages.
    """
    reached = dict.fromkeys([entry])
    pending = deque(reached)
    while pending:
        module = pending.popleft()
        for address in _IMPORT.findall(sources[module].decode()):
            imported = posixpath.normpath(posixpath.join(posixpath.dirname(module), address))
            if imported not in reached:
                reached[imported] = None
                pending.append(imported)
    return list(reached)[1:]


def later_modules(entry: str, sources: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return what each ``import()`` of one's modules takes, by the module's name: ``{"buy": ["student/buy.js", …]}``.

    These are the module and those that it imports, without those that are loaded before it: the entry's, and those of
    the module that makes the ``import()``.
    """
    later: dict[str, list[str]] = {}
    pending = deque([[entry, *imported_modules(entry, sources)]])
    while pending:
        loaded = pending.popleft()
        for module in loaded:
            for address in _LATER_IMPORT.findall(sources[module].decode()):
                view = posixpath.normpath(posixpath.join(posixpath.dirname(module), address))
                name = posixpath.splitext(posixpath.basename(view))[0]
                if name not in later:
                    taken = [view, *imported_modules(view, sources)]
                    later[name] = [one for one in taken if one not in loaded]
                    pending.append([*loaded, *later[name]])
    return later


def content_type(path: str) -> str:
    """Return a file's media type, with the charset if it is text."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    is_text = media_type.startswith("text/") or media_type.endswith(("javascript", "xml"))
    return f"{media_type}; charset=utf-8" if is_text else media_type
