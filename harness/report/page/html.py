"""What every HTML page of ours needs: templates that escape what they are given, cells of tables, embedded figures."""

from __future__ import annotations

import base64
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """The templates; with ``cell`` as a filter."""
    templates = Environment(
        loader=PackageLoader("harness.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["cell"] = cell
    return templates


def cell(value: Any) -> str:
    """A value in a table: floats with one decimal, NaN and None as a dash, text as it is."""
    if pd.isna(value):
        return "–"
    return f"{value:.1f}".replace("-", "−") if isinstance(value, float) else str(value)


def data_uri(svg: bytes) -> str:
    """An SVG file as the address of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
