"""The settings as OmegaConf can hold them, and back: it knows no ``Literal``, and writes into no frozen dataclass."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf


def schema(cls: type) -> DictConfig:
    """An empty configuration of a settings dataclass, as Hydra composes into it."""
    node = OmegaConf.structured(_loose(cls))
    assert isinstance(node, DictConfig)
    return node


def typed(config: DictConfig) -> Any:
    """The settings dataclass that a composed configuration holds; its words are checked later, by ``validate``.

    Raises:
        OmegaConfBaseException: a value is missing, or its interpolation fails.
        TypeError: a key was added that is no field.
    """
    return _strict(OmegaConf.to_object(config))


@functools.cache
def _loose(cls: type) -> Any:
    hints, own = get_type_hints(cls), inspect.get_annotations(cls)
    bases = tuple(_loose(base) for base in cls.__bases__ if dataclasses.is_dataclass(base))
    fields = [
        (spec.name, _plain(hints[spec.name]), _default(spec, hints[spec.name]))
        for spec in dataclasses.fields(cls)
        if spec.name in own  # the others are a base's
    ]
    return dataclasses.make_dataclass(cls.__name__, fields, bases=bases, namespace={"_settings": cls})


def _default(spec: dataclasses.Field[Any], kind: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return dataclasses.field(default_factory=_plain(kind))
    if spec.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=spec.default_factory)
    return dataclasses.field(default=spec.default)


def _plain(annotation: Any) -> Any:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _loose(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return str
    if origin in (Union, UnionType):
        return Union[tuple(_plain(argument) for argument in get_args(annotation))]  # noqa: UP007 - made at run time
    return annotation


def _strict(value: Any) -> Any:
    cls = getattr(value, "_settings", None)
    return value if cls is None else cls(**{name: _strict(held) for name, held in vars(value).items()})
