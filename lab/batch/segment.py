"""Segment every picture of a folder, and of the folders in it: python3 lab/run.py segment FOLDER --output DIR

Takes whatever Pillow reads, turned as its EXIF says; of a film the first frame; transparency is left out. Results:

  DIR/labels/NAME.png     the label map, of the turned picture's size. A pixel's value is its segment's number, from 0:
                          grey of 8 bits (16 beyond 256 segments) that looks black, and that any program reads
  DIR/overlays/NAME.jpg   the picture under its segments' colours and numbers, to be looked at
  DIR/masks/NAME/000.png  with --masks: a mask for each segment, white on black
  DIR/segments.jsonl      a line for each picture: path, size, how many segments, their areas in pixels, seconds,
                          settings; or what was wrong with it

NAME is the picture's path in FOLDER, ending and all. DIR may lie in FOLDER: what a run wrote is no picture to the next.
A run that was stopped, however, goes on when the same command is given again: a picture that has its line is done, one
that failed is tried once more. Of several lines of a picture the last counts. Exit code 1 where pictures failed.

  --cluster local         on several processes here: --workers N of them
  --cluster HOST:PORT     on the machines of a Ray cluster, this one among them. On all, this project lies at the same
                          place and is set up (lab/run.py setup --cluster), and FOLDER, DIR and the checkpoint are seen
                          under the same paths. The first was started by .venv/bin/ray start --head, the others by
                          .venv/bin/ray start --address=HOST:PORT, all with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN
                          in the environment. More may join meanwhile, and some may go

DIR/workers/ says then what each worker did when. A worker that ends loses nothing: its picture is done by another.
"""

import argparse
import sys
from pathlib import Path

from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.steps.cluster import MOST_SEGMENTS

import journal
from batch import pictures, results, workers
from batch.segmenter import Job, Segmenter
from measure import beds
from measure.timing import PRECISIONS
from reasons import Stop


def main() -> int:
    options = parse()
    job = job_of(options)
    check(job)
    with results.alone(job.output):
        return segment(job, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder for the results")
    beds.add_arguments(parser)
    parser.add_argument("--preset", choices=PRESETS, default="draft", help="how masks are lifted; default draft")
    parser.add_argument(
        "--segments", type=int, default=0, help="how many a picture; default 0: as many as each picture has"
    )
    parser.add_argument("--resolution", type=int, default=0, help="pixels of the shorter side that the model sees")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the model; fp16 is fast on a GPU")
    parser.add_argument("--masks", action="store_true", help="a mask for each segment too")
    workers.add_arguments(parser)
    options = parser.parse_args()
    if not 0 <= options.segments <= MOST_SEGMENTS:
        parser.error(f"--segments is 0 to {MOST_SEGMENTS}")
    if options.workers is not None and (options.workers < 1 or not options.cluster):
        parser.error("--workers is at least 1, and goes with --cluster")
    return options


def job_of(options: argparse.Namespace) -> Job:
    """Paths are made absolute: other processes and machines start elsewhere."""
    given = {name: getattr(options, name) for name in Job._fields}
    paths = {name: given[name].resolve() for name in ("folder", "output", "checkpoint") if given[name]}
    return Job(**given | paths)


def check(job: Job) -> None:
    if not job.folder.is_dir():
        raise Stop(f"There is no folder {job.folder}.")
    beds.chosen(job.model, job.checkpoint)


def segment(job: Job, options: argparse.Namespace) -> int:
    """Segments what is left to do; 1 where pictures failed."""
    listed = pictures.found(job.folder, job.output)
    if not listed:
        raise Stop(
            f"There are no pictures in {job.folder}: no file there ends in .jpg, .png, .webp or the like, or all are "
            "results of this command."
        )
    settings = job.settings
    finished = results.done(job.output, settings)
    left, failed = [path for path in listed if path not in finished], 0
    with workers.progress(len(listed), len(left)) as bar:
        seen = job.folder, job.output, job.checkpoint
        for path, row in workers.each_done(Segmenter, job, left, options, job.output / "workers", *seen):
            journal.append(job.output / pictures.LINES, {"path": path, **row, "settings": settings})
            if "error" in row:
                failed += 1
                bar.write(f"{path}: {row['error']}", file=sys.stderr)
            bar.update()
    done = len(left) - failed
    print(f"{done} pictures segmented, {len(listed) - len(left)} were done before, {failed} failed: {job.output}")
    return int(failed > 0)
