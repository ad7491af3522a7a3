"""Published protocols: label maps scored on published data sets, with one's own weights.

  --protocol per-image  clusters and classes matched one to one in every picture, by the truth (DiffSeg, DiffCut)
  --protocol data-set   segments put into as many clusters as there are classes, by k-means on what the model sees in
                        them, over all pictures; one matching for all (the traditional protocol)
  --protocol modified   the paper's: every segment is of the class whose mean embedding is nearest, without a matching

  --as plain            pictures and labels whole, as they are
  --as diffseg          the middle square at 512 pixels, its labels too
  --as diffcut          a square one pixel narrower at 1024 pixels, its labels at 128; void belongs to the background of
                        voc, context and coco-object; of ade20k the unlabelled are a class, and class 150 is left out

A table has mIoU over all classes that occur or are claimed, as published, and over those that occur; per-image also
without the false positives of surplus clusters, and where there is a background with all clusters that no class of the
foreground wants merged into it by the truth, as DiffCut does. coco-stuff-27 is of the published list of 2,175 pictures
unless --all-pictures. What a data set's folder has to hold is said where it does not.

Every picture's counts are appended to demo_output/protocol/, so an interrupted run goes on where it stopped.
"""

import argparse
import time
from pathlib import Path

from batch import workers
from journal import append, read
from protocols import layouts
from protocols.data_sets import DATA, DataSet, whole
from protocols.layouts import DataError
from protocols.methods import METHODS, NO_MODEL
from protocols.modified import NEAREST
from protocols.report import PROTOCOLS, Scoring, report
from protocols.scorer import Job, Scorer
from protocols.ways import WAYS
from reasons import Stop

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "protocol"


def main() -> None:
    try:
        run(parse())
    except (ValueError, OSError) as error:  # a full disk, a list that is no text
        raise Stop(f"{error}. What was measured is kept.") from error


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the folder that the data set lies in")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="per-image")
    parser.add_argument("--as", dest="way", choices=WAYS, default="plain", help="whose script reads the pictures")
    parser.add_argument("--method", nargs="+", default=["emerdiff", "balanced"], help=", ".join(METHODS))
    parser.add_argument("--model", default="small-model", help="which of the small models")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of Stable Diffusion instead")
    parser.add_argument("--segments", type=int, help="of a picture; 0: its own number; else what suits the model")
    parser.add_argument("--clusters", type=int, default=0, help="for data-set: of all pictures; 0: one for every class")
    parser.add_argument("--nearest", choices=NEAREST, default=NEAREST[0], help="for data-set and modified")
    parser.add_argument("--all-pictures", action="store_true", help="not those of a published list alone")
    parser.add_argument("--count", type=int, help="only so many pictures, the first")
    workers.add_arguments(parser)
    parser.add_argument("--minutes", type=float, default=1e9, help="start none after so many; run again to go on")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    method, way = method_of(options), WAYS[options.way]
    data = whole(way.data[options.data]) if options.all_pictures else way.data[options.data]
    job = job_of(options, method, data)
    log = log_of(options, method)
    measure_rest(job, log, options)
    rows = [row for row in read(log, "seed") if row["seed"] in job.files]
    scoring = Scoring(options.protocol, options.clusters, options.nearest)
    text = report(rows, data, scoring, f"{log.stem}, {options.protocol}")
    log.with_name(f"{log.stem}, {options.protocol}.md").write_text(text)
    print(text)


def job_of(options: argparse.Namespace, method: str, data: DataSet) -> Job:
    """Raises DataError where the data set is not there or not whole."""
    found = layouts.find(data.layouts, data.classes, options.root.resolve())
    files = {each.name: each for each in found.files[: options.count]}
    layouts.require(list(files.values()))
    return Job(
        method=method,
        model=options.model,
        checkpoint=options.checkpoint and options.checkpoint.resolve(),
        segments=options.segments,
        embedded=options.protocol != "per-image",
        way=options.way,
        classes=len(data.classes),
        meaning=found.meaning,
        files=files,
    )


def measure_rest(job: Job, log: Path, options: argparse.Namespace) -> None:
    """Appends the row of every picture that has none; DataError at the first that cannot be had."""
    done, end = {row["seed"] for row in read(log, "seed")}, time.monotonic() + 60 * options.minutes
    left = [name for name in job.files if name not in done]
    seen = options.root.resolve(), job.checkpoint
    with workers.progress(len(job.files), len(left)) as bar:
        for name, row in workers.each_done(Scorer, job, left, options, OUTPUT / "workers", *seen):
            if "error" in row:
                raise DataError(row["error"])
            append(log, {"seed": name, **row})
            bar.update()
            if time.monotonic() > end:
                return


def method_of(options: argparse.Namespace) -> str:
    """The method's name in the table; raises Stop where there is none."""
    name = " ".join(options.method)
    if name not in METHODS:
        raise Stop(f"there is no method {name}: --method takes {', '.join(METHODS)}")
    if name in NO_MODEL and options.segments == 0:
        raise Stop(f"{name} finds no number of its own: give --segments a number")
    return name


def log_of(options: argparse.Namespace, name: str) -> Path:
    """The file of rows that were measured in this way, whatever is made of them."""
    model = [] if name in NO_MODEL else [options.checkpoint.stem if options.checkpoint else options.model]
    segments = [] if options.segments is None else [f"{options.segments} segments"]
    embedded = [] if options.protocol == "per-image" else ["embeddings"]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    return OUTPUT / f"{', '.join([options.data, options.way, *model, name, *segments, *embedded])}.jsonl"
