"""A form generated from the declarations of the settings (hrpro/config.py); errors appear at their fields."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import subprocess
import sys
import typing
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.text import plain
from hrpro.config import Config, check
from hrpro.errors import InputError
from hrpro.yaml_files import parse_yaml

# Always visible, with labels short enough for four per row: stage 1's first, then stage 2's.
VISIBLE = {"num_iters": "Steps", "lr": "LR stage 1", "batch_size": "Batch size", "test_iter": "Test every",
           "max_epochs": "Epochs", "lr2": "LR stage 2", "batch_size2": "Batch size 2", "seed": "Seed"}
# Set elsewhere on the page, or given by the data set's folder.
ELSEWHERE = ("dataset", "data_path", "ckpt_path", "task_info", "device")
COLUMNS = 4
WIDE = 2                                                # columns of the other settings, which have longer labels


def settings_form(base: Config, given: Mapping[str, Any]) -> Config | list[str]:
    """Show a field for every setting, with each error at its field.

    Args:
        base: initial values.
        given: settings that are set elsewhere.

    Returns:
        The settings, or the names of the invalid ones.
    """
    fields = {field.name: field for field in dataclasses.fields(Config)}
    hidden = [name for name in fields if name not in (*VISIBLE, *ELSEWHERE)]
    general = st.empty()
    values, slots = _fields(base, [fields[name] for name in VISIBLE], COLUMNS)
    with st.expander("All settings"):
        more, more_slots = _fields(base, [fields[name] for name in hidden], WIDE)
    if changed := [name for name in hidden if more[name] != getattr(base, name)]:
        st.caption(f"Changed here: {', '.join(changed)}.")
    slots |= more_slots
    try:
        return check(values | more | given, "Settings")
    except InputError as error:
        faulty = []
        for fault in error.faults:
            text = fault.removeprefix("Settings: ")
            name = next((name for name in fields if f"setting {name!r}" in text or text.startswith(f"{name} ")), "")
            slots.get(name, general).markdown(f":red[{plain(text.replace(f'setting {name!r}', name))}]")
            faulty.append(name)
        return faulty


def _fields(base: Config, fields: list[dataclasses.Field],
            columns: int) -> tuple[dict[str, Any], dict[str, DeltaGenerator]]:
    """Show fields; returns {setting: value} and {setting: slot for an error below its field}."""
    values, slots = {}, {}
    for begin in range(0, len(fields), columns):
        for field, column in zip(fields[begin:begin + columns], st.columns(columns), strict=False):
            with column:
                values[field.name] = _field(base, field)
                slots[field.name] = st.empty()
    return values, slots


def _field(base: Config, field: dataclasses.Field) -> Any:
    name, limits = field.name, field.metadata
    shown = _shown(base, name)
    options = {"key": field_key(base, name), "help": f"{_sentence(limits['help'])} Setting: {name}.",
               "persist_state": "session"}
    label = VISIBLE.get(name) or _sentence(limits["help"].partition(";")[0])[:-1]
    if limits["choices"]:
        return st.selectbox(label, limits["choices"], index=limits["choices"].index(shown), **options)
    if isinstance(shown, bool):
        return st.selectbox(label, (True, False), index=int(not shown), format_func=lambda on: "on" if on else "off",
                            **options)
    if isinstance(shown, int):                          # no limits: a box with limits silently keeps its old value
        return st.number_input(label, value=shown, step=1, **options)
    text = st.text_input(label, shown, **options).strip()
    if text == shown:                                   # keep the exact value: the text may be rounded
        return getattr(base, name)
    return text if typing.get_type_hints(Config)[name] is str else _parsed(text)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def field_key(base: Config, name: str) -> str:
    """Widget key of a setting's field. It changes with the initial value, so that the field shows a new one."""
    return f"setting {base.dataset} {name} {getattr(base, name)!r}"


def _shown(base: Config, name: str) -> Any:
    """Initial content of a setting's field; floats and lists as text."""
    value = getattr(base, name)
    if isinstance(value, list):
        return "[" + ", ".join(f"{entry:g}" if isinstance(entry, float) else str(entry) for entry in value) + "]"
    return f"{value:g}" if isinstance(value, float) else value


def _parsed(text: str) -> Any:
    """The typed text as YAML; invalid YAML stays text, which `check` rejects with the type that is needed."""
    try:
        value = parse_yaml(text, "Settings")
    except InputError:
        return text
    return text if value is None else value


@functools.cache
def missing_devices() -> dict[str, str]:
    """{missing device: why}. PyTorch is asked in a separate process, and only if there may be a GPU."""
    maybe = {"cuda": shutil.which("nvidia-smi") is not None, "mps": sys.platform == "darwin"}
    present = {}
    if any(maybe.values()):
        code = ("import json, torch; print(json.dumps({'cuda': torch.cuda.is_available(), "
                "'mps': torch.backends.mps.is_available()}))")
        present = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    reasons = {"cuda": "PyTorch does not see an NVIDIA GPU" if maybe["cuda"] else "no NVIDIA GPU on this machine",
               "mps": "PyTorch does not see an Apple GPU" if maybe["mps"] else "only on Macs with Apple silicon"}
    return {name: reason for name, reason in reasons.items() if not present.get(name)}
