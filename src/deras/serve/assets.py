"""The page's own files: read once, compressed once, looked up by exact name (so no path can lead elsewhere)."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file: its bytes, plain and compressed, and its media type."""

    plain: bytes
    packed: bytes
    kind: str


class Assets:
    """All files of ``serve/static``. Their address holds a hash of all of them, so browsers may keep them for ever."""

    def __init__(self) -> None:
        self.files: dict[str, Asset] = {}
        self._walk(resources.files("deras.serve").joinpath("static"), "")
        digest = hashlib.sha256()
        for name in sorted(self.files):
            digest.update(name.encode() + b"\0" + self.files[name].plain)
        self.build = digest.hexdigest()[:12]
        self._index = self.files["index.html"].plain.replace(b"@build@", self.build.encode())

    def _walk(self, folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                self._walk(entry, f"{prefix}{entry.name}/")
                continue
            suffix = entry.name[entry.name.rfind(".") :] if "." in entry.name else ""
            data = entry.read_bytes()
            packed = gzip.compress(data, 9, mtime=0)
            self.files[prefix + entry.name] = Asset(data, packed, _KINDS.get(suffix, "text/plain; charset=utf-8"))

    def packed_size(self) -> int:
        """Bytes that a first visit loads, compressed."""
        return sum(len(a.packed) for a in self.files.values())

    def index(self) -> Response:
        """The page's shell; never kept, so that a new build shows at once."""
        return Response(self._index, media_type="text/html", headers={"cache-control": "no-cache"})

    def answer(self, request: Request) -> Response:
        """``/static/<build>/<name>``."""
        asset = self.files.get(request.path_params["name"])
        if asset is None or request.path_params["name"] == "index.html":
            return Response("not found\n", 404, media_type="text/plain")
        fresh = request.path_params["build"] == self.build
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if fresh else "no-cache",
            "vary": "accept-encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"content-encoding": "gzip"}, media_type=asset.kind)
        return Response(asset.plain, headers=headers, media_type=asset.kind)
