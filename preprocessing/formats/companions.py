"""Which other files hold the geometry of a file: what a result depends on besides the file itself.

Of the formats read here only glTF keeps geometry elsewhere, in buffer files. Materials and textures
change no result and are left out.
"""

import json
from pathlib import Path
from urllib.parse import unquote

SUFFIXES = (".gltf", ".glb")
CHUNK_START = 20  # bytes of a GLB before its JSON: its header and that of the first chunk


def companions(path: str | Path) -> list[str]:
    """Names of the buffer files that a glTF file refers to, relative to its folder, sorted.

    Empty for other formats and for a file that is not what its suffix says: reading it will tell.
    Raises OSError.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        return []
    try:
        buffers = json.loads(document(path)).get("buffers", [])
        uris = [buffer.get("uri") for buffer in buffers]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
    names = {unquote(uri) for uri in uris if isinstance(uri, str) and not uri.startswith("data:")}
    return sorted(name for name in names if "\0" not in name and "://" not in name)


def document(path: Path) -> bytes:
    """The JSON of a glTF file, text or binary."""
    with open(path, "rb") as handle:
        start = handle.read(CHUNK_START)
        if not start.startswith(b"glTF"):
            return start + handle.read()
        return handle.read(int.from_bytes(start[12:16], "little")).rstrip(b"\0")
