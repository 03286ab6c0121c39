"""The documented imports give something to call, before and after the module itself is imported."""

import subprocess
import sys

import pytest

CALLS = [("vae", "reconstruct"), ("dora_bench", "evaluate")]


@pytest.mark.parametrize(("package", "name"), CALLS)
@pytest.mark.parametrize("first", [False, True])
def test_the_public_name_is_the_function(package, name, first):
    program = f"import {package}.{name}\n" if first else ""
    program += (
        "import inspect\n"
        f"from {package} import {name} as public\n"
        f"from {package}.{name} import {name} as function\n"
        "assert callable(public)\n"
        "assert inspect.signature(public) == inspect.signature(function)\n"
        "assert public.__doc__ == function.__doc__\n"
        "try:\n"
        "    public()\n"
        "except TypeError as error:\n"
        f"    assert '{name}() missing' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('called with nothing')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
