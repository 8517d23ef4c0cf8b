"""Hydra stops here: schema, config path and resolvers in, typed frozen settings or one clear line out."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from td3sweep.config import shorthand
from td3sweep.config.help import GROUP_ORDER, entries, help_text
from td3sweep.config.presets import config_directory, options
from td3sweep.config.run_place import run_directory
from td3sweep.config.saved import read
from td3sweep.config.schema import schema, typed
from td3sweep.config.settings import OPTIONS, Settings, having
from td3sweep.config.validate import check
from td3sweep.config.words import teach
from td3sweep.errors import UserError

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException)


@functools.cache
def register() -> None:
    """Give Hydra the schema and the resolver of run directories: once a process, they take a while to build."""
    store = ConfigStore.instance()
    store.store(name="schema", node=schema(Settings))
    for group, options_of in OPTIONS.items():
        for option, cls in options_of.items():
            store.store(group=group, name=f"schema_{option}", node=schema(cls))
    OmegaConf.register_new_resolver("td3sweep.help", help_text, replace=True)
    OmegaConf.register_new_resolver("td3sweep.by_memory", _by_memory, replace=True)
    teach()
    shorthand.teach()
    OmegaConf.register_new_resolver("td3sweep.run_dir", run_directory, replace=True, use_cache=True)


def to_settings(config: DictConfig) -> Settings:
    """The composed configuration as checked, frozen dataclasses. Raises :class:`UserError`."""
    try:
        settings = typed(config)
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    except TypeError as error:  # a dataclass refuses a field that it does not have
        raise UserError(f"a key added with + is not a setting ({error}); drop it") from error
    assert isinstance(settings, Settings)
    check(settings)
    return settings


def compose_settings(overrides: list[str]) -> Settings:
    """Checked settings from overrides, as the command line makes them. Raises :class:`UserError`."""
    register()
    outer = GlobalHydra.instance().hydra  # of a multirun, which composes its trials' settings
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_directory(), version_base="1.3"):
            return to_settings(compose("config", overrides=overrides))
    except COMPOSITION_ERRORS as error:
        raise UserError(explain(error)) from error
    finally:
        GlobalHydra.instance().hydra = outer


def override_saved(saved: Mapping[str, Any], overrides: list[str]) -> Settings:
    """Settings as a run saved them, with overrides as the command line takes them.

    Each key that an override names gets the value that a new run of the same environment and reward would have.

    Raises:
        UserError: an override is wrong, or the saved settings are not this version's.
    """
    register()
    groups = {group: saved[group]["name"] for group in (*OPTIONS, "reward") if group in saved}
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
        named = [override.key_or_group for override in parsed]
        if "experiment" in named:
            raise UserError("experiment=: it says what to train; name the keys to change one by one")
        base = [f"{group}={name}" for group, name in groups.items() if group not in named and name in options(group)]
        composed = dataclasses.asdict(compose_settings([*base, *overrides])) if overrides else {}
        kept = copy.deepcopy(read(dict(saved)))
        for key in named:
            *parents, last = key.split(".")
            source, target = composed, kept
            try:
                for parent in parents:
                    source, target = source[parent], target[parent]
                target[last] = source[last]
            except KeyError as error:
                raise UserError(f"{key}: not a setting that a run keeps; drop it") from error
        node = schema(Settings)
        for group, options_of in OPTIONS.items():
            name = kept[group]["name"] if group in kept else getattr(Settings(), group).name
            node[group] = schema(options_of[name])
        merged = OmegaConf.merge(node, kept)
    except COMPOSITION_ERRORS as error:
        raise UserError(explain(error)) from error
    assert isinstance(merged, DictConfig)
    return to_settings(merged)


def _by_memory(recurrent: str, without: Any, with_memory: Any) -> Any:
    """One of two values, by whether there is a memory."""
    return without if recurrent == "none" else with_memory


def words_of(groups: Collection[str], overrides: Iterable[str]) -> list[str]:
    """Those of some overrides that choose one of these groups, or set a key in it."""
    return [word for word in overrides if word.lstrip("+~").partition("=")[0].partition(".")[0] in groups]


def chooses(group: str, overrides: Iterable[str]) -> bool:
    """Whether some overrides choose an option of a group; one that only sets another key in it does not."""
    return any(word.lstrip("+~").partition("=")[0] in (group, f"{group}.name") for word in overrides)


def explain(error: BaseException) -> str:
    """One line for an error of Hydra or OmegaConf: the key, the value and the remedy."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        if group:
            choices = [str(name) for name in error.options or () if not str(name).startswith("schema_")]
            more = ", or a directory of recorded episodes" if group == shorthand.GROUP else ""
            return f"{group}={option}: no such option; choose {group}= one of {', '.join(choices)}{more}"
    if typed := _mistyped(error):
        return typed
    experiment = re.match(r"In 'experiment/([^']+)'", text)
    if experiment:
        detail = re.search(r"Key '([^']+)'", text)
        what = f" (it sets {detail.group(1)})" if detail else ""
        return f"experiment={experiment.group(1)} does not go with the other groups chosen{what}; drop one of them"
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        return _unknown_key(unknown.group(1))
    merging = re.match(r"Error merging override (.+)", text)
    cause = error.__cause__
    if merging and cause is not None:
        key = merging.group(1).partition("=")[0].lstrip("+~")
        effect = _help_of(key)
        return f"{merging.group(1)}: {_first_line(cause)}{f' ({effect})' if effect else ''}"
    key_of = re.search(r"full_key: (\S+)", text)
    return f"{key_of.group(1)}: {_first_line(error)}" if key_of else " ".join(text.split())


def _mistyped(error: BaseException) -> str:
    """One line for an override that Hydra's grammar does not take; empty where it is something else."""
    several = re.match(r"Ambiguous value for argument '([^']+)'", str(error))
    if several:
        return f"{several.group(1)}: several values are a sweep; add --multirun"
    if not isinstance(error, OverrideParseException):
        return ""
    word = str(error.override)
    if "=" not in word:
        return f"{word}: no KEY=VALUE; write {word.lstrip('-')}=VALUE, without a space around the ="
    if word.endswith(","):
        return f"{word}: nothing stands behind the comma; write several values without spaces"
    return f"{word}: not an override ({_first_line(error)}); write key=value, quoting special characters"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _unknown_key(key: str) -> str:
    known = {entry.key for entry in entries()} | set(GROUP_ORDER)
    if only := having(key):  # known, but not to the option that was chosen
        group = key.partition(".")[0]
        lacking = [option for option in OPTIONS[group] if option not in only]
        chosen = f"{group}={' and '.join(lacking)}"
        return f"{key}: {chosen} has no such key; add {group}={' or '.join(only)} or drop it"
    if key in known:  # a mapping, into which nothing can be put without the plus
        return f"{key}: give its entries one by one: +{key}.NAME=VALUE"
    if key.startswith("hydra."):
        return f"{key}: unknown key; see --hydra-help and conf/hydra/; what goes into a mapping: +{key}.NAME=VALUE"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"{key}: unknown key; did you mean {near[0]}?"
    parent = key.rpartition(".")[0]
    siblings = sorted(name for name in known if name.rpartition(".")[0] == parent)
    return f"{key}: unknown key; {parent or 'the top level'} has {', '.join(siblings or sorted(known))}"


def _help_of(key: str) -> str:
    return next((entry.effect for entry in entries() if entry.key == key), "")
