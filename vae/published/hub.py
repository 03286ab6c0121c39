"""Names of models become files: in the box, given with a family, or fetched from the hub."""

import json
import logging
import socket
from pathlib import Path

from preprocessing.console import nearest
from preprocessing.files import sha256_file
from vae.checkpoint import CheckpointError
from vae.published.families import FAMILIES, Family, family_name

BOXED = ("dora-tiny",)
ASSETS = Path(__file__).parents[1] / "assets"
CARD = "card.json"
CARD_LINES = ("licence", "data", "steps", "batch", "hours", "device", "command", "note")
log = logging.getLogger("vae")


def locate(name: str | Path, *, accept_licence: bool = False) -> tuple[str | None, Path]:
    """The family (None: our own formats) and the files that a model's name stands for.

    name: a path; `dora-tiny`, which is in the box; FAMILY:PATH; or FAMILY alone, whose weights are
    fetched once into the hub's cache. accept_licence: needed where a licence asks for more than
    its notice. Raises CheckpointError when there is nothing of that name, or the hub is not there.
    """
    text = str(name)
    if Path(name).exists():
        return None, Path(name)
    if text in BOXED:
        return None, boxed(text)
    stem, colon, rest = text.partition(":")
    family = family_name(stem)
    if family is None:
        if not colon and Path(text).name == text and not Path(text).suffix:
            known = [*BOXED, *FAMILIES]
            raise CheckpointError(
                f"{text}: no such file, and no model's name{nearest(text, known)}; "
                f"known by name: {', '.join(known)}"
            )
        return None, Path(name)
    path = Path(rest) if colon else fetch(family, text, accept_licence)
    # Dora's own files say what they are: the reader of our own formats takes them.
    return (None if family == "dora" else family), path


def boxed(name: str) -> Path:
    """The folder of a model that the package brings. Raises CheckpointError."""
    path = ASSETS / name
    if not path.is_dir():
        raise CheckpointError(f"{name} is not in this installation (there is no {path})")
    return path


def card_of(folder: Path) -> dict[str, str]:
    """What a model's card says in a line each, {} where the folder has none."""
    path = folder / CARD
    if not path.is_file():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    return {key: str(told[key]) for key in CARD_LINES if key in told}


def fetch(family: str, name: str, accept_licence: bool) -> Path:
    """The weights of a family from the hub's cache or the hub; prints licence and sha256.

    Raises CheckpointError when a licence is not accepted, or the hub cannot be reached: then in
    one line which file to bring where.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    facts = FAMILIES[family]
    log.warning("%s: %s, licence %s (%s)", name, facts.files[0], facts.licence, facts.url)
    if not (facts.permissive or accept_licence):
        raise CheckpointError(
            f"the weights of {name} are under the {facts.licence}; read it at {facts.url}, then "
            f"give --accept-licence (Python: accept_licence=True), or bring them and give "
            f"{name}:PATH"
        )
    # The settings first: beside the weights, where `find_config` looks for them.
    files = facts.files[::-1]
    try:
        kept = [try_to_load_from_cache(facts.repo, file) for file in files]
        if not all(isinstance(path, str) for path in kept):
            reach_hub()  # the hub's client itself tries for most of a minute, aloud
            kept = [hf_hub_download(facts.repo, file) for file in files]
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        raise CheckpointError(bring(facts, name, error)) from error
    weights = Path(str(kept[-1]))
    log.warning("%s: sha256 %s", name, sha256_file(weights))
    return weights


def reach_hub() -> None:
    """Raise OSError when the hub's host does not answer; with a proxy, leave it to the client."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub.constants import ENDPOINT

    if not getproxies():
        host = urlsplit(ENDPOINT)
        socket.create_connection((str(host.hostname), host.port or 443), timeout=10).close()


def bring(facts: Family, name: str, error: Exception) -> str:
    """One line: what could not be had, from where to bring it, and how to name it then."""
    files = " and ".join(Path(file).name for file in facts.files)
    reason = (str(error).strip().splitlines() or [""])[0]
    return (
        f"cannot fetch {facts.files[0]} of {facts.repo} ({type(error).__name__}: {reason[:120]}): "
        f"bring {files} from {facts.url} into one folder and give {name}:FOLDER"
    )
