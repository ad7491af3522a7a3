"""Whether every node still gives what it gave at another commit: `compare COMMIT [--tolerance 1e-6]`.

Both packs, that commit's and this working tree's, do the same work on this tree's small model and on a checkpoint of
SD1.x's form with random weights, each in a process of its own: every node, every preset, pictures it shows and files
it writes included. Then a server tells what it knows of each pack's nodes and scripts.
Prints what differs and by how much; exit code 1 where it is more than the tolerance.
"""

import argparse
import asyncio
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from checks.trade import PACK
from comfyui.in_process import REPOSITORY, execute, load_pack, start_host
from comfyui.server import HostServer
from small_model.scenes import HELD_OUT, scene
from small_model.settings import STRENGTH

PRESETS = ("paper", "balanced", "draft", "fast")  # that every commit to compare with has
SEGMENTS = 5
SHOWN = 12  # differences named
PLAIN = {"enlarge": False, "specks": 0}  # inputs that older commits lack, as these worked: small pictures stay small

Ways = dict[str, dict]  # inputs of a node, by the name of the case
PUSHES: Ways = {
    "plain": {"inject_attention": False},
    "later": {"modulation_timestep": 101, "modulation_layer": "output 4"},
}
TIDYING: Ways = {
    "rough": {"smoothing": 0.0, "normalize": True},
    "tidy": {"smoothing": 3.5, "min_area": 0.02, "fill_holes": 0.05},
    "parts": {"min_area": 0.03, "split_parts": True},
}
PICKS: Ways = {
    "numbers": {"selection": "0, 1-2"},
    "points": {"positive_points": '[{"x": 40, "y": 50}]', "negative_points": '[{"x": 90.5, "y": 100}]'},
    "boxes": {"boxes": [[10, 10, 60, 70]], "invert": True},
    "old": {"selection": "1, 9 @0123abcd"},
    "nothing": {},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD")
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest difference of a number (default: none)")
    parser.add_argument("--record", nargs=2, metavar=("PACK", "FOLDER"), type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        record(*options.record)
        return 0
    with tempfile.TemporaryDirectory(prefix="emerdiff-compare-") as base:
        numbers, said = recorded(unpacked(options.commit, base), Path(base, "before"))
        numbers_now, said_now = recorded(REPOSITORY, Path(base, "now"))
    faults = [*differences(numbers, numbers_now, options.tolerance), *changes(said, said_now)]
    print("\n".join(faults[:SHOWN]) or "nothing differs")
    return int(bool(faults))


def unpacked(commit: str, base: str) -> Path:
    """A folder with the files of a commit."""
    packed = subprocess.run(["git", "-C", REPOSITORY, "archive", commit], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(Path(base, PACK))
    return Path(base, PACK)


def recorded(tree: Path, folder: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """What the pack in `tree` gives: numbers by name, and everything else by name."""
    folder.mkdir()
    subprocess.run([sys.executable, "-P", "-m", "checks.compare", "--record", tree, folder], check=True)
    said = json.loads((folder / "said.json").read_text())
    with HostServer(packs={PACK: tree}) as server:
        nodes = {name: node for name, node in server.object_info().items() if name.startswith("EmerDiff")}
        said |= {f"object_info/{name}": node for name, node in nodes.items()}
        said["served"] = sorted(each for each in json.loads(server.get("/extensions")) if "EmerDiff" in each)
    return load_file(folder / "numbers.safetensors"), said


def differences(before: dict[str, torch.Tensor], now: dict[str, torch.Tensor], tolerance: float) -> list[str]:
    """A line for every tensor that is not as it was; the largest difference of all is printed."""
    faults = [f"only in one of the two: {name}" for name in sorted(before.keys() ^ now.keys())]
    largest, equal = 0.0, 0
    for name in sorted(before.keys() & now.keys()):
        a, b = before[name], now[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            faults.append(f"{name}: {list(a.shape)} {a.dtype}, now {list(b.shape)} {b.dtype}")
            continue
        differs = (a.double() - b.double()).abs()
        equal += torch.equal(a, b)
        most = float(differs.amax()) / max(1.0, float(a.double().abs().amax()))
        largest = max(largest, most)
        if most > tolerance:
            faults.append(f"{name}: {(differs > 0).float().mean():.2%} differ, by up to {most:.2e}")
    print(f"{len(now)} tensors, {equal} equal bit for bit; the largest difference is {largest:.2e}")
    return faults


def changes(before: dict, now: dict) -> list[str]:
    names = sorted(before.keys() | now.keys())
    print(f"{len(names)} other values")
    return [f"{name}: {before.get(name)} -> {now.get(name)}" for name in names if before.get(name) != now.get(name)]


# --- one pack, in a process of its own


def record(pack: Path, folder: Path) -> None:
    """Do the work with this pack; leave numbers.safetensors and said.json in the folder."""
    start_host()
    import folder_paths

    for kind in ("input", "output", "temp"):
        (folder / kind).mkdir()
        setattr(folder_paths, f"{kind}_directory", str(folder / kind))
    recorder = Recorder(load_pack(pack))
    with torch.inference_mode():
        recorder.small_model()
        recorder.sd1()
    save_file(recorder.numbers, folder / "numbers.safetensors")
    (folder / "said.json").write_text(json.dumps(recorder.said, indent=1))


class Recorder:
    """Calls nodes as the host does, and keeps all that they give and show under the name of the case."""

    def __init__(self, pack):
        from emerdiff.nodes import EmerDiffExtension

        nodes = asyncio.run(EmerDiffExtension().get_node_list())
        self.nodes = {node.define_schema().node_id: node for node in nodes}
        self.numbers: dict[str, torch.Tensor] = {}
        self.said: dict[str, object] = {}

    def call(self, case: str, node: str, **inputs):
        """The node's outputs; inputs that are not given are PLAIN, or the schema's defaults."""
        schema = self.nodes[node].define_schema()
        defaults = {each.id: each.default for each in schema.inputs if hasattr(each, "default")}
        inputs = defaults | {name: value for name, value in PLAIN.items() if name in defaults} | inputs
        answer = execute(self.nodes[node], **{name: value for name, value in inputs.items() if value is not None})
        for number, value in enumerate(answer.result):
            self.keep(f"{case}/{number}", value)
        shown = answer.ui.as_dict() if hasattr(answer.ui, "as_dict") else answer.ui or {}
        self.keep(f"{case}/ui", {key: self.pictures(value) for key, value in shown.items()})
        return answer.result

    def pictures(self, value):
        """Files of the temp folder as their pixels, whatever their names."""
        import folder_paths

        if isinstance(value, dict) and value.get("type") == "temp":
            with Image.open(Path(folder_paths.get_temp_directory(), value["subfolder"], value["filename"])) as image:
                return torch.from_numpy(np.array(image))
        if isinstance(value, dict):
            return {key: self.pictures(each) for key, each in value.items()}
        return [self.pictures(each) for each in value] if isinstance(value, (list, tuple)) else value

    def keep(self, name: str, value) -> None:
        if isinstance(value, (torch.Tensor, np.ndarray)):
            self.numbers[name] = torch.as_tensor(value).clone().contiguous()
        elif isinstance(value, dict):
            for key, each in value.items():
                self.keep(f"{name}/{key}", each)
        elif isinstance(value, (list, tuple)):
            names = getattr(value, "_fields", range(len(value)))
            self.said[name] = [type(value).__name__, len(value)]
            for key, each in zip(names, value):
                self.keep(f"{name}/{key}", each)
        else:
            self.said[name] = value if isinstance(value, (int, float, str, type(None))) else type(value).__name__

    def small_model(self) -> None:
        from small_model.model import load, load_clip

        model, vae, conditioning = load()
        source = {"model": model, "vae": vae, "conditioning": conditioning}
        image = torch.from_numpy(np.stack([scene(HELD_OUT + number).image for number in range(2)]))
        features, trajectory = self.call("small/extract", "EmerDiffExtractFeatures", **source, image=image)
        (masks,) = self.call("small/cluster", "EmerDiffClusterFeatures", features=features, segments=SEGMENTS)
        self.call(
            "small/shared", "EmerDiffClusterFeatures", features=features, segments=4, seed=3, shared_clusters=True
        )
        self.presets("small", source, image, trajectory, masks, STRENGTH)
        large = torch.from_numpy(scene(HELD_OUT, 320).image)[None, :250]
        self.large_picture(source, large)
        segmentation = self.segmented
        self.tools("small", segmentation, features, image)
        for by in ("attention", "prediction", "both"):
            words = {"model": model, "vae": vae, "clip": load_clip(), "text": "star, disc", "count": 2, "by": by}
            self.call(f"small/text {by}", "EmerDiffSelectByText", segmentation=segmentation, image=image, **words)

    def every(self, case: str, node: str, ways: Ways, **given) -> None:
        """The node once for each way, by the way's name, with these inputs beside the given ones."""
        for name, inputs in ways.items():
            self.call(f"{case} {name}", node, **given, **inputs)

    def presets(self, name: str, source: dict, image, trajectory, masks, strength: float) -> None:
        """Both ways through modulation, and lifting, by every preset; every way of assembling the last."""
        rough = torch.zeros(2, 96, 96)
        rough[0, 20:50, 30:70], rough[1, 60:80, 10:40] = 1, 0.7
        wired = {**source, "trajectory": trajectory, "low_res_masks": masks}
        own_size = {"resolution": min(image.shape[1:3])}
        for preset in PRESETS:
            how = {"preset": preset, "strength": strength}
            (maps,) = self.call(f"{name}/maps {preset}", "EmerDiffModulateAttention", **wired, **how)
            given = self.call(f"{name}/assemble {preset}", "EmerDiffAssembleMasks", difference_maps=maps)
            self.call(f"{name}/one go {preset}", "EmerDiffModulateAndAssemble", **wired, image=image, preset=preset)
            self.call(f"{name}/lift {preset}", "EmerDiffLiftMask", **source, image=image, mask=rough, **how, **own_size)
            self.segmented = given[1]
        self.every(f"{name}/maps", "EmerDiffModulateAttention", PUSHES, **wired, preset="balanced")
        self.every(f"{name}/assemble", "EmerDiffAssembleMasks", TIDYING, difference_maps=maps)

    def large_picture(self, source: dict, image) -> None:
        reading = {"resolution": 128, "seed": 5, "steps": 25, "feature_timestep": 41, "feature_layer": "output 4"}
        features, trajectory = self.call("large/extract", "EmerDiffExtractFeatures", **source, image=image, **reading)
        (masks,) = self.call("large/cluster", "EmerDiffClusterFeatures", features=features, segments=SEGMENTS)
        wired = {"trajectory": trajectory, "low_res_masks": masks}
        (maps,) = self.call("large/maps", "EmerDiffModulateAttention", **source, **wired)
        ways: Ways = {"along": {"image": image}, "bilinear": {"image": image, "refine": False}, "blind": {}}
        self.every("large/assemble", "EmerDiffAssembleMasks", ways, difference_maps=maps)
        mask = {"mask": (image[..., 0] > 0.5).float(), "preset": "fast", "resolution": 128}
        self.call("large/lift", "EmerDiffLiftMask", **source, image=image, **mask)

    def tools(self, name: str, segmentation, features, image) -> None:
        given = {"segmentation": segmentation}
        (fewer, *_) = self.call(f"{name}/merge", "EmerDiffMergeSegments", **given, features=features, target=3)
        self.call(f"{name}/merge alike", "EmerDiffMergeSegments", **given, features=features, target=0, similarity=0.5)
        for case, each in PICKS.items():
            shown = {"image": image} if case in ("numbers", "boxes", "old") else {}
            self.call(f"{name}/select {case}", "EmerDiffSelectSegments", **given, **each, **shown)
        masks = (segmentation.labels[:, None] == torch.arange(segmentation.count)[:, None, None]).flatten(0, 1).float()
        self.call(f"{name}/boxes", "EmerDiffBoundingBoxes", masks=masks, image=image, padding=3)
        self.call(f"{name}/segs", "EmerDiffToSEGS", **given, image=image, selection="0-2")
        for kind, value in {"features": features, "segmentation": fewer}.items():
            self.call(f"{name}/save {kind}", "EmerDiffSave", value=value, filename_prefix=f"{name}/{kind}")
            file = f"{name}/{kind}_00001_.safetensors"
            self.call(f"{name}/load {kind}", "EmerDiffLoad", file_name=file)
            self.keep_file(f"{name}/file {kind}", file)

    def keep_file(self, name: str, file: str) -> None:
        import folder_paths

        with safe_open(Path(folder_paths.get_output_directory(), file), framework="pt") as saved:
            self.keep(name, {key: saved.get_tensor(key) for key in saved.keys()})
            self.keep(name, saved.metadata())

    def sd1(self) -> None:
        import comfy.sd
        import folder_paths

        from reference.sd1_checkpoint import write_sd1_checkpoint

        path = write_sd1_checkpoint(Path(folder_paths.get_temp_directory()) / "sd1.safetensors")
        model, _, vae, *_ = comfy.sd.load_checkpoint_guess_config(str(path), output_vae=True, output_clip=False)
        context = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(5))
        source = {"model": model, "vae": vae, "conditioning": [[context, {}]]}
        noise = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
        image = torch.nn.functional.interpolate(noise, (100, 110), mode="bicubic").clamp(0, 1).movedim(1, -1)
        features, trajectory = self.call("sd1/extract", "EmerDiffExtractFeatures", **source, image=image)
        (masks,) = self.call("sd1/cluster", "EmerDiffClusterFeatures", features=features, segments=3)
        self.presets("sd1", source, image, trajectory, masks, 10.0)
        self.tools("sd1", self.segmented, features, image)


if __name__ == "__main__":
    sys.exit(main())
