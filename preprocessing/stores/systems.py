"""Object stores by pyarrow's file systems: s3://, gs://, az://, and hf:// by huggingface_hub's.

Credentials, regions and endpoints come from where each store's own clients take them (environment,
profiles, instance roles), never from an address. What a store answers becomes FileNotFoundError or
StoreError; passing faults (503, cut or slow connections) are tried again first.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from preprocessing.console import StopError, UsageError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

SCHEMES = ("s3", "gs", "az", "hf")
TRIES = 3  # of a whole transfer; each request of it is tried by the client itself, too
REQUEST_TRIES = 4
CONNECT_SECONDS, SILENT_SECONDS = 10, 30
PIECE, PART = 8 * 2**20, 64 * 2**20  # bytes at a time, read and written
# Said by a store of what asking again does not change.
LASTING = re.compile(
    r"Error (ACCESS_DENIED|NO_SUCH_BUCKET|INVALID\w*|SIGNATURE\w*|UNRECOGNIZED_CLIENT|EXPIRED\w*)"
    r"|HTTP (status )?40\d|Unauthorized|Forbidden|permission",
    re.IGNORECASE,
)
SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "HF_TOKEN",
)
T = TypeVar("T")


class StoreError(StopError):
    """A store that cannot be used; the message has the address and what the store said."""


class Facts(NamedTuple):
    """What a store tells of an object, under the names of os.stat."""

    st_size: int
    st_mtime_ns: int


def checked(address: str) -> str:
    """The address itself. Raises UsageError, which repeats no secret, where it cannot be one."""
    scheme, _, rest = address.partition("://")
    bucket = rest.partition("/")[0]
    if scheme not in SCHEMES:
        raise UsageError(f"{scheme}:// is no store that is read; use one of {', '.join(SCHEMES)}")
    if "@" in bucket or "?" in rest:
        raise UsageError(
            f"an address {scheme}://... holds credentials or a query (@ in the bucket, or ?): "
            "give the address alone, and credentials as the store's own clients take them"
        )
    if not bucket or "//" in rest:
        raise UsageError(f"{address}: an address is {scheme}://BUCKET/KEY, no part of it empty")
    return address.rstrip("/")


def key_of(address: str) -> str:
    """What the file system of an address calls it."""
    return address.partition("://")[2]


@lru_cache
def file_system(scheme: str) -> "FileSystem":
    """The file system of a scheme, made once a process. Raises StoreError."""
    from pyarrow import fs

    try:
        if scheme == "s3":
            return s3_system()
        if scheme == "gs":
            host = os.environ.get("STORAGE_EMULATOR_HOST")
            if host is None:
                return fs.GcsFileSystem()
            kind, _, at = host.rpartition("://")
            return fs.GcsFileSystem(anonymous=True, endpoint_override=at, scheme=kind or "http")
        if scheme == "az":
            return fs.AzureFileSystem(
                account_name=os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", ""),
                account_key=os.environ.get("AZURE_STORAGE_ACCOUNT_KEY"),
                sas_token=os.environ.get("AZURE_STORAGE_SAS_TOKEN"),
            )
        from huggingface_hub import HfFileSystem

        return fs.PyFileSystem(fs.FSSpecHandler(HfFileSystem()))
    except (OSError, ValueError) as error:
        raise StoreError(f"{scheme}:// cannot be used: {plain(error)}") from None


def s3_system() -> "FileSystem":
    """The S3 client, at the endpoint and region that the environment names."""
    from pyarrow import fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    kind, _, host = (endpoint or "").rpartition("://")
    return fs.S3FileSystem(
        endpoint_override=host or None,
        scheme=kind or "https",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=REQUEST_TRIES),
        allow_delayed_open=True,  # a small object is one request, not three
    )


def plain(error: BaseException) -> str:
    """What a store said, on one line, without any secret of the environment."""
    text = " ".join(str(error).split())
    for name in SECRETS:
        secret = os.environ.get(name)
        text = text.replace(secret, "***") if secret else text
    return re.sub(r" \(Request ID:[^)]*\)", "", text)


def asked(address: str, request: Callable[["FileSystem", str], T]) -> T:
    """What a request gives; tried again where the fault may pass.

    Raises FileNotFoundError where the bucket is there and the object is not, and StoreError.
    """
    files, key, tries = file_system(address.partition("://")[0]), key_of(address), 0
    while True:
        try:
            return request(files, key)
        except FileNotFoundError:
            require_bucket(files, address)
            raise FileNotFoundError(f"{address} is not there") from None
        except OSError as error:
            tries += 1
            if error.filename is not None or error.errno is not None:
                raise  # a file of this machine, not the store's
            if tries == TRIES or LASTING.search(str(error)):
                raise StoreError(f"{address}: {plain(error)}") from None
            time.sleep(0.5 * tries)


def require_bucket(files: "FileSystem", address: str) -> None:
    """Raise StoreError where the bucket of an object that was not found is not there either."""
    from pyarrow.fs import FileType

    bucket = key_of(address).partition("/")[0]
    if address.startswith("hf://"):
        return
    try:
        (found,) = files.get_file_info([bucket])
    except OSError as error:
        raise StoreError(f"{address}: {plain(error)}") from None
    if found.type == FileType.NotFound:
        raise StoreError(f"{address}: there is no bucket {bucket}")


def info(address: str) -> "FileInfo":
    """What is at an address: a file, a directory (a beginning of keys) or nothing."""

    def request(files: "FileSystem", key: str) -> "FileInfo":
        (found,) = files.get_file_info([key])
        return found

    return asked(address, request)


def facts(address: str) -> Facts:
    """Size and time of an object. Raises FileNotFoundError, StoreError."""
    from pyarrow.fs import FileType

    found = info(address)
    if found.type != FileType.File:
        require_bucket(file_system(address.partition("://")[0]), address)
        raise FileNotFoundError(f"{address} is not there")
    return Facts(found.size, found.mtime_ns or 0)


def listed(address: str) -> dict[str, Facts]:
    """Every object below an address, by its path from there; nothing where there is none."""
    from pyarrow.fs import FileSelector, FileType

    def request(files: "FileSystem", key: str) -> list["FileInfo"]:
        # Not every store's client tells "not there" from other errors here.
        return files.get_file_info(FileSelector(key, recursive=True, allow_not_found=True))

    found = asked(address, request)
    if not found:
        require_bucket(file_system(address.partition("://")[0]), address)
    start = len(key_of(address)) + 1
    return {
        one.path[start:]: Facts(one.size, one.mtime_ns or 0)
        for one in found
        if one.type == FileType.File
    }


def get(address: str, path: Path) -> Facts:
    """Copy an object into a file, which gets the object's time. Raises as `facts`."""
    told = facts(address)

    def request(files: "FileSystem", key: str) -> None:
        with files.open_input_stream(key) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, PIECE)
        if path.stat().st_size != told.st_size:
            raise OSError(f"{path.stat().st_size} of {told.st_size} bytes came")

    asked(address, request)
    os.utime(path, ns=(told.st_mtime_ns, told.st_mtime_ns))
    return told


def put(path: Path, address: str) -> None:
    """Write a file as one whole object: it is there with all its bytes, or as it was before.

    pyarrow publishes what a stream has got when the stream is dropped, also by an exception. So
    nothing may come between: the file is mapped, and the transfer is a thread's, which Ctrl-C does
    not reach.
    """
    import pyarrow as pa

    def request(files: "FileSystem", key: str) -> None:
        with pa.memory_map(str(path)) as source:
            stream = files.open_output_stream(key)
            while piece := source.read_buffer(PART):
                stream.write(piece)
            stream.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asked, address, request).result()


def read(address: str) -> bytes:
    """All bytes of an object. Raises as `facts`."""

    def request(files: "FileSystem", key: str) -> bytes:
        with files.open_input_stream(key) as source:
            return source.read()

    return asked(address, request)


@contextlib.contextmanager
def reader(address: str) -> Iterator[Callable[[int, int], bytes]]:
    """A function that reads so many bytes of an object from a place on. Raises as `facts`."""
    source = asked(address, lambda files, key: files.open_input_file(key))

    def read_at(count: int, begin: int) -> bytes:
        return asked(address, lambda files, key: source.read_at(count, begin))

    try:
        yield read_at
    finally:
        source.close()


def write(data: bytes, address: str) -> None:
    """Write bytes as one whole object."""

    def request(files: "FileSystem", key: str) -> None:
        stream = files.open_output_stream(key)
        stream.write(data)
        stream.close()

    asked(address, request)


def delete(address: str) -> None:
    """Take an object away. Raises FileNotFoundError, StoreError."""
    asked(address, lambda files, key: files.delete_file(key))
