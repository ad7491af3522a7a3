"""Coverage-guided fuzzing of everything that reads what others wrote: saved files, and texts in nodes.

Whatever is read is valid or a ValueError in a sentence of our own; all else is a finding, which ends its target and
leaves the input in test_output/fuzz/TARGET/, to be tried again with `TARGET --input FILE`. Needs atheris, which only
Linux and macOS have.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from comfyui.in_process import REPOSITORY

OUTPUT = REPOSITORY / "test_output" / "fuzz"
SLOWEST = 10  # seconds for one input; what takes longer counts as a hang
MEMORY = 3072  # megabytes, torch and all
WIDTH, HEIGHT, SEGMENTS, PICTURES = 64, 48, 6, 2
FOREIGN = re.compile(
    r"Expecting|Exceeds the limit|invalid literal|embedded null|codec can't|could not convert|convert float|unpack"
)


class Finding(Exception):
    """What was read is neither valid nor refused in a sentence."""


def read_file(data: bytes) -> None:
    """EmerDiff Load on a file of these bytes, then EmerDiff Save on what it gave."""
    from emerdiff.emerdiff_ops.files import safetensors_file
    from emerdiff.nodes.steps.saved import from_file, to_file

    path = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}.safetensors"
    path.write_bytes(data)
    try:
        value = refused(from_file, path)
        if value is not None:
            safetensors_file.save(path, *to_file(value))
    finally:
        path.unlink(missing_ok=True)


def read_selection(data: bytes) -> None:
    from emerdiff.emerdiff_ops.segments import texts

    text, _ = texts.split_fingerprint(as_text(data))
    for clip in (False, True):
        lists = refused(texts.parse_lists, text, [SEGMENTS] * PICTURES, clip)
        require(lists is None or len(lists) == PICTURES)
        require(all(0 <= number < SEGMENTS for each in lists or [] for number in each))


def read_points(data: bytes) -> None:
    from emerdiff.emerdiff_ops.segments.texts import parse_points_in

    (points,) = refused(parse_points_in, [(WIDTH, HEIGHT)], as_text(data)) or [[]]
    require(all(0 <= x < WIDTH and 0 <= y < HEIGHT for x, y in points))


def read_boxes(data: bytes) -> None:
    from emerdiff.emerdiff_ops.segments.texts import parse_boxes_in

    lists = refused(parse_boxes_in, [(WIDTH, HEIGHT)] * PICTURES, as_text(data))
    require(lists is None or len(lists) == PICTURES)
    boxes = [box for each in lists or [] for box in each]
    require(all(0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT for x1, y1, x2, y2 in boxes))


def read_phrases(data: bytes) -> None:
    from emerdiff.emerdiff_ops.text_scores import split_phrases

    phrases = refused(split_phrases, as_text(data))
    require(phrases is None or (phrases and all(phrases)))


def read_name(data: bytes) -> None:
    """A file name, as far as the disk: whatever is not refused lies inside."""
    from emerdiff.emerdiff_ops.files import names

    root = tempfile.gettempdir()

    def located(name: str) -> Path:
        names.check_name(name)
        return names.inside(name, [root])

    path = refused(located, as_text(data))
    require(path is None or (names.is_inside(path, root) and os.path.isfile(path) in (True, False)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "file": read_file,
    "selection": read_selection,
    "points": read_points,
    "boxes": read_boxes,
    "phrases": read_phrases,
    "name": read_name,
}
SEEDS = {
    "selection": ["3", "1, 3-5", "0; 2-3; ", "1 @0a1b2c3d", "9-1"],
    "points": ['[{"x": 1, "y": 2.5}]', '""', '[{"x": 64, "y": 48}, {"x": NaN, "y": -1e999}]'],
    "boxes": ['{"x": 1, "y": 2, "width": 3, "height": 4}', "[[0, 0, 8, 8]]", "[[], [[1, 2, 3.5, 4]]]", "[{}]"],
    "phrases": ["dog", "dog, sky", "(red dog, brown:1.2), sky"],
    "name": ["emerdiff/value_00001_.safetensors", "../x", "C:\\x", "//host/x", "aux.txt", "a. /b", "/x"],
}


def refused(function: Callable, *arguments):
    """What the function gives; None where it refuses in a sentence of ours, which is never Python's own."""
    try:
        return function(*arguments)
    except ValueError as error:
        sentence = str(error)
        if type(error) is not ValueError or FOREIGN.match(sentence) or not 20 < len(sentence) < 1000:
            raise Finding(sentence) from error


def require(true: bool) -> None:
    if not true:
        raise Finding("what was read is not what it should be")


def as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # never fails: bytes that are no UTF-8 become lone surrogates


def seeds(target: str) -> list[bytes]:
    """Valid inputs to start from."""
    return valid_files() if target == "file" else [text.encode() for text in SEEDS[target]]


def valid_files() -> list[bytes]:
    import torch
    from emerdiff.emerdiff_ops.files import safetensors_file
    from emerdiff.nodes.steps import values
    from emerdiff.nodes.steps.saved import to_file

    labels = torch.arange(12, dtype=torch.int16).reshape(1, 3, 4) % 5
    every = [
        values.Features(torch.ones(1, 2, 2, 3), (4, 4)),
        values.Trajectory(torch.ones(1, 4, 2, 2), 7, (981, 281, 1), (16, 12), (30, 24), "SD15"),
        values.LowResMasks(torch.eye(4).reshape(1, 4, 2, 2), (4, 4)),
        values.DifferenceMaps(torch.ones(1, 2, 3, 4), (30, 24)),
        values.Segmentation(labels, 5),
        values.Segmentation(labels, 5, torch.ones(1, 5, 3, 4)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.safetensors" for number in range(len(every))]
        for path, value in zip(paths, every):
            safetensors_file.save(path, *to_file(value))
        return [path.read_bytes() for path in paths]


def mutate_header(data: bytes, size: int, seed: int) -> bytes:
    """A mutation of the header alone, its length put right, in three of four cases; random bytes seldom fit."""
    import atheris

    length = int.from_bytes(data[:8], "little")
    if seed % 4 == 0 or not 2 <= length <= len(data) - 8:
        return atheris.Mutate(data, size)
    header = atheris.Mutate(data[8 : 8 + length], max(length, size - len(data) + length))
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def fuzz(target: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process, with another code than 0 after a finding."""
    import atheris

    with atheris.instrument_imports(include=["emerdiff"]):
        import emerdiff.emerdiff_ops.segments.texts
        import emerdiff.emerdiff_ops.text_scores
        import emerdiff.nodes.steps.saved  # noqa: F401
    folder = OUTPUT / target
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}", "-max_len=8192"]
    options = [*limits, f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0", str(folder / "corpus")]
    mutator = {"custom_mutator": mutate_header} if target == "file" else {}
    atheris.Setup([sys.argv[0], *options], TARGETS[target], **mutator)
    atheris.Fuzz()


def run_all(targets: list[str], seconds: int) -> int:
    """Every target in a process of its own, one line each; 1 if there was a finding."""
    failed = 0
    for target in targets:
        begin = time.monotonic()
        launched = [sys.executable, "-P", "-m", "comfyui.launch", "fuzz", "checks.fuzz"]
        command = [*launched, "--seconds", str(seconds), "--inside", target]
        ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        executions = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
        counted = f"{int(executions[1]):,} executions" if executions else ended.stderr[-2000:]
        verdict = "FINDING, see test_output/fuzz" if ended.returncode else "no finding"
        print(f"{target:10} {verdict}, {counted} in {time.monotonic() - begin:.0f} s", flush=True)
        failed |= ended.returncode != 0
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all of {', '.join(TARGETS)} without")
    parser.add_argument("--seconds", type=int, default=180, help="for each target (180)")
    parser.add_argument("--input", type=Path, help="a file to try the targets on, once, instead")
    parser.add_argument("--inside", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    if set(targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(set(targets) - set(TARGETS))}; there are {', '.join(TARGETS)}")
    if not (options.inside or options.input):
        return run_all(targets, options.seconds)
    if options.inside:
        fuzz(options.inside, options.seconds)
    for target in targets:
        TARGETS[target](options.input.read_bytes())
    return 0
