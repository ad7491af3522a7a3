"""What is left of every picture: files that appear only when they are whole, and then its line of JSON.

OUTPUT/labels, OUTPUT/overlays and OUTPUT/masks mirror the folder of the pictures. A picture's whole name stays in
theirs, so a.jpg and a.png have results of their own. OUTPUT/segments.jsonl gets a picture's line last: one that has a
line without "error" is done. Of several lines of a picture the last counts.
"""

import contextlib
import errno
import io
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.colors import in_bytes, overlay
from emerdiff.nodes.steps.shown import reduced
from filelock import FileLock, Timeout
from PIL import Image

import journal
from batch.pictures import LINES, LOCK
from reasons import Stop

Row = dict[str, Any]

UNFINISHED = ".unfinished"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# --- what is done already ---


@contextlib.contextmanager
def alone(output: Path) -> Iterator[None]:
    """While this run is the only one that writes to the folder; what earlier ones left unfinished goes."""
    lock = FileLock(output / LOCK, timeout=0)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Stop(f"Another run writes to {output}: wait for it, or give another --output.") from None
    except OSError as error:
        raise Stop(f"Nothing can be written to {output} ({error.strerror}): give another --output.") from error
    with lock:
        shutil.rmtree(output / UNFINISHED, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(output / UNFINISHED, ignore_errors=True)


def done(output: Path, settings: Row) -> set[str]:
    """The pictures that have all their results, by their paths; Stop where those are of other settings."""
    finished = set()
    for row in journal.read(output / LINES, "path", "settings"):
        if row["settings"] != settings:
            raise Stop(
                f"{output} holds results of other settings ({difference(row['settings'], settings)}): give another "
                "--output, or the settings of before."
            )
        if "labels" in row and (output / row["labels"]).exists():
            finished.add(row["path"])
        else:
            finished.discard(row["path"])
    return finished


def difference(before: Row, now: Row) -> str:
    changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)}, now {now.get(name)}" for name in sorted(changed))


# --- what is written ---


def write(output: Path, path: str, image: np.ndarray, labels: np.ndarray, masks: bool) -> Row:
    """Write the files of a picture [H, W, 3] and its label map [H, W]; what its line says of them."""
    pictures, maps = torch.from_numpy(image)[None], torch.from_numpy(labels)[None]
    areas = np.bincount(labels.ravel()).tolist()
    row = {"width": labels.shape[1], "height": labels.shape[0], "segments": len(areas), "areas": areas}
    if masks:
        row["masks"] = f"masks/{path}"
        each = {f"{number:03}.png": encoded((labels == number) * np.uint8(255), "png") for number in range(len(areas))}
        place_folder(output, row["masks"], each)
    shown = in_bytes(overlay(*reduced(pictures, maps))[0]).numpy()
    row |= {"overlay": f"overlays/{path}.jpg", "labels": f"labels/{path}.png"}
    place(output, row["overlay"], encoded(shown, "jpeg", quality=92, subsampling=0))
    place(output, row["labels"], encoded(labels.astype(np.uint8 if len(areas) <= 256 else np.uint16), "png"))
    return row


def place(output: Path, name: str, content: bytes) -> None:
    """A file that has its name only once it is whole and on the disk."""
    beside = unfinished(output)
    written(beside, content)
    renamed(beside, output / name)


def place_folder(output: Path, name: str, contents: dict[str, bytes]) -> None:
    """The same of a folder and its files; one that an earlier run left is replaced."""
    beside = unfinished(output)
    beside.mkdir()
    for each, content in contents.items():
        written(beside / each, content)
    shutil.rmtree(output / name, ignore_errors=True)
    renamed(beside, output / name)


def unfinished(output: Path) -> Path:
    """A name beside the results; what still has it when the run ends is removed."""
    (output / UNFINISHED).mkdir(exist_ok=True)
    return output / UNFINISHED / uuid.uuid4().hex


def written(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        journal.write_out(file, content)


def renamed(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    """In memory first: of a full disk Pillow does not say what is wrong."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()
