"""Whether the report of a results folder shows what is stored there."""

from __future__ import annotations

from pathlib import Path


def report_is_fresh(results: Path) -> bool:
    from harness.storage.manifest import read_manifest

    manifest, page = read_manifest(results), results / "report.html"
    key = results / ".report-key"
    return bool(manifest and page.exists() and key.exists() and key.read_text() == manifest["results_key"])


def mark_report(results: Path) -> None:
    from harness.core.files import replacing
    from harness.storage.manifest import read_manifest

    manifest = read_manifest(results)
    if manifest and "results_key" in manifest:
        with replacing(results / ".report-key") as path:
            path.write_text(manifest["results_key"])
