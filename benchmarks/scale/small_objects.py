"""pyarrow's file systems beside fsspec's: put, list and get 10,000 small objects of a local server.

The server is moto's, in a process of its own; it takes most of the time of a request, so the
client's processor time is printed beside. fsspec needs s3fs, which is no dependency of ours:
`pip install s3fs` first, or only pyarrow is measured.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from pyarrow.fs import FileSelector, S3FileSystem

SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()
"""
THREADS = 8
Work = Callable[..., Any]


@contextmanager
def local_server() -> Iterator[str]:
    """A fresh S3 server on this machine: its address."""
    command = [sys.executable, "-c", SERVER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def main() -> None:
    """Print a line for each library and each of put, list and get."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1"}
    names = [f"folder/{i:05d}" for i in range(arguments.objects)]
    for library, make in (("pyarrow", of_pyarrow), ("fsspec", of_fsspec)):
        if library == "fsspec" and find_spec("s3fs") is None:
            print("fsspec: s3fs is not installed")
            continue
        with local_server() as address:
            compare(library, names, bytes(arguments.bytes), *make(address))


def compare(
    library: str, names: list[str], data: bytes, put: Work, listed: Work, get: Work
) -> None:
    """Put, list and get objects of one content, and print how long each took."""
    measured(library, "put", lambda: mapped(lambda name: put(name, data), names))
    assert measured(library, "list", listed) == len(names)
    found = measured(library, "get", lambda: mapped(get, names))
    assert all(one == data for one in found)


def mapped(work: Callable[[str], Any], names: list[str]) -> list[Any]:
    """The work on every name, in a few threads, as a loader or a driver would do it."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, names))


def measured(library: str, what: str, work: Callable[[], Any]) -> Any:
    """What the work returns; its seconds are printed."""
    started, used = time.monotonic(), time.process_time()
    result = work()
    wall, own = time.monotonic() - started, time.process_time() - used
    print(f"{library:8} {what:5} {wall:7.2f} s, {own:6.2f} s of the client's processor", flush=True)
    return result


def of_pyarrow(address: str) -> tuple[Work, Work, Work]:
    """put, list and get by pyarrow."""
    files = S3FileSystem(
        endpoint_override=address,
        scheme="http",
        allow_bucket_creation=True,
        allow_delayed_open=True,
    )
    files.create_dir("bucket")

    def put(name: str, data: bytes) -> None:
        with files.open_output_stream(f"bucket/{name}") as stream:
            stream.write(data)

    def listed() -> int:
        return len(files.get_file_info(FileSelector("bucket", recursive=True))) - 1  # the folder

    def get(name: str) -> bytes:
        with files.open_input_file(f"bucket/{name}") as stream:
            return stream.read()

    return put, listed, get


def of_fsspec(address: str) -> tuple[Work, Work, Work]:
    """put, list and get by fsspec's s3fs."""
    import s3fs

    files = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
    files.mkdir("bucket")

    def put(name: str, data: bytes) -> None:
        files.pipe_file(f"bucket/{name}", data)

    def listed() -> int:
        return len(files.find("bucket"))

    def get(name: str) -> bytes:
        return files.cat_file(f"bucket/{name}")

    return put, listed, get


if __name__ == "__main__":
    main()
