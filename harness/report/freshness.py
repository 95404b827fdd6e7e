"""Whether the report of a results folder is the standard one and shows what is stored.

``bonbench run`` draws the report only where it is not fresh. A mark beside the report names the results that the report
shows. A report with other figures or tables than the standard one, as for a narrow column, never has a mark.
"""

from __future__ import annotations

from pathlib import Path

from harness.core.files import replacing
from harness.storage.manifest import read_manifest

_MARK = ".report-key"


def report_is_fresh(folder: Path) -> bool:
    """Whether ``report.html`` is the standard report of what is stored; never where no run has written a key."""
    mark, manifest = folder / _MARK, read_manifest(folder)
    if manifest is None or not mark.is_file() or not (folder / "report.html").is_file():
        return False
    return mark.read_bytes() == (manifest.results_key or "").encode()


def mark_report(folder: Path, key: str | None) -> None:
    """Mark the report as the standard one of the results with ``key``; without a key there is no mark."""
    if key is None:
        (folder / _MARK).unlink(missing_ok=True)
        return
    with replacing(folder / _MARK) as path:
        path.write_text(key)
