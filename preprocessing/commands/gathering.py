"""Options that several commands share, gathered: a group is a dataclass, an option a field.

A command takes a group's instance as one parameter, and on the command line stand its fields.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

Command = Callable[..., None]


def gathering(**renamed: dict[str, str]) -> Callable[[Command], Command]:
    """A decorator of commands: each parameter whose annotation is a dataclass becomes its fields.

    renamed: parameter -> {field: option}, where a field would stand for two options of a command.
    """

    def wrap(command: Command) -> Command:
        plain, groups = [], {}
        for one in signature(command, eval_str=True).parameters.values():
            if not hasattr(one.annotation, "__dataclass_fields__"):
                plain.append((one.name, [one]))
                continue
            options = fields_of(one.annotation, renamed.get(one.name, {}))
            groups[one.name] = one.annotation, {field: o.name for field, o in options.items()}
            plain.append((one.name, list(options.values())))
        shown = [one.replace(kind=Parameter.KEYWORD_ONLY) for _, some in plain for one in some]

        @wraps(command)
        def call(**given: Any) -> None:
            made = {
                name: kind(**{field: given.pop(option) for field, option in options.items()})
                for name, (kind, options) in groups.items()
            }
            command(**given, **made)

        call.__signature__ = Signature(shown)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in shown}
        return call

    return wrap


def fields_of(group: type, renamed: dict[str, str]) -> dict[str, Parameter]:
    """The options of a group by its fields."""
    parameters = signature(group, eval_str=True).parameters
    return {field: one.replace(name=renamed.get(field, field)) for field, one in parameters.items()}
