"""Groups of options on the command line, and the settings that they make."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from preprocessing.commands.gathering import gathering
from preprocessing.commands.stage_options import CloudOptions, RunOptions, SolidOptions
from preprocessing.console import UsageError
from preprocessing.settings import Limits, SampleSettings, WatertightSettings


@dataclass(frozen=True)
class Size:
    """Two options."""

    wide: Annotated[int, typer.Option(min=1, help="How wide.")] = 3
    kind: Annotated[str, typer.Option(help="Which.")] = "box"


@dataclass(frozen=True)
class Colour:
    """Two more, one of the same name."""

    kind: Annotated[str, typer.Option(help="Which colour.")] = "red"
    dark: Annotated[bool, typer.Option("--dark", help="Darker.")] = False


def called(*arguments: str) -> dict | str:
    """What a command of both groups is called with, or its help."""
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @gathering(colour={"kind": "colour_kind"})
    def paint(name: str, size: Size, times: int = 1, *, colour: Colour) -> None:
        """Paint."""
        typer.echo(json.dumps([name, asdict(size), times, asdict(colour)]))

    done = CliRunner().invoke(app, list(arguments))
    return json.loads(done.stdout) if done.exit_code == 0 and done.stdout[0] == "[" else done.output


def test_a_group_stands_on_the_command_line_as_its_fields() -> None:
    plain = [{"wide": 3, "kind": "box"}, {"kind": "red", "dark": False}]
    assert called("x") == ["x", plain[0], 1, plain[1]]
    given = called("x", "--wide", "5", "--dark", "--colour-kind", "blue", "--times", "2")
    assert given == ["x", {"wide": 5, "kind": "box"}, 2, {"kind": "blue", "dark": True}]
    assert "Invalid value for '--wide'" in called("x", "--wide", "0")
    text = called("--help")
    order = ["--wide", "--kind", "--times", "--colour-kind", "--dark"]
    assert sorted(order, key=text.index) == order
    assert "Paint." in text


def test_defaults_are_those_of_the_settings_and_none_is_forgotten() -> None:
    assert SolidOptions().settings() == WatertightSettings(eps=2 / 256)
    assert CloudOptions().settings() == SampleSettings()
    assert RunOptions().limits() == Limits()
    assert RunOptions(timeout=0).limits().timeout is None
    for options, settings in ((SolidOptions, WatertightSettings), (CloudOptions, SampleSettings)):
        lacking = {f.name for f in fields(settings)} - {f.name for f in fields(options)}
        assert lacking <= {"corners", "mitre"}  # settings without an option yet


def test_a_wrong_value_names_its_option() -> None:
    with pytest.raises(UsageError, match="--eps 2/x"):
        SolidOptions(eps="2/x").settings()
    with pytest.raises(UsageError, match="--sample-format plain"):
        CloudOptions(format="plain").settings(format_option="sample_format")
    with pytest.raises(UsageError, match="--executor slow"):
        RunOptions(executor="slow").limits()
