"""Puts measured tables into a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path


def publish(page: Path, *folders: Path) -> None:
    """Replace what stands between `<!-- FOLDER/NAME -->` and `<!-- end -->` in the page by FOLDER's NAME.md."""
    text = page.read_text()
    for report in sorted(path for folder in folders for path in folder.glob("*.md")):
        begin = f"<!-- {report.parent.name}/{report.stem} -->"
        section = re.compile(re.escape(begin) + ".*?<!-- end -->", re.DOTALL)
        text = section.sub(lambda _: f"{begin}\n\n{report.read_text()}\n<!-- end -->", text)  # noqa: B023
    page.write_text(text)
