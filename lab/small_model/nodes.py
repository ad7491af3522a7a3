"""The small models' nodes, standing in for those that load a model and for CLIP Text Encode."""

import time
from pathlib import Path

import folder_paths
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import ComfyExtension, io

from . import small_flux, small_sd
from .model import load_clip, load_model, load_vae
from .settings import COUNT_FILE
from .words import SCENES


def counted(model, pause: float):
    """The model, writing a byte whenever its UNet is evaluated, and waiting `pause` seconds."""

    def count(executor, *args, **kwargs):
        time.sleep(pause)
        with (Path(folder_paths.get_temp_directory()) / COUNT_FILE).open("ab") as file:
            file.write(b".")
        return executor(*args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "emerdiff_lab", count)
    return model


def loaded() -> list:
    """What a node gives that stands in for a loader."""
    return [io.Model.Output(), io.Conditioning.Output(display_name="empty prompt"), io.Vae.Output(), io.Clip.Output()]


class EmerDiffLabSmallModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLabSmallModel",
            display_name="EmerDiff Lab Small Model",
            category="EmerDiff/lab",
            description="The small trained model of the development lab, in place of a checkpoint.",
            inputs=[
                io.Float.Input(
                    "pause", default=0.0, min=0.0, max=10.0, optional=True, tooltip="Seconds an evaluation waits."
                )
            ],
            outputs=loaded(),
        )

    @classmethod
    def execute(cls, pause=0.0) -> io.NodeOutput:
        return io.NodeOutput(counted(load_model(), pause), load_clip().conditioning(""), load_vae(), load_clip())


class EmerDiffLabSmallSD(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLabSmallSD",
            display_name="EmerDiff Lab Small SD",
            category="EmerDiff/lab",
            description="The small Stable Diffusion of the development lab, in place of a checkpoint: for photographs.",
            inputs=[],
            outputs=loaded(),
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        model, vae, empty = small_sd.load()
        return io.NodeOutput(counted(model, 0.0), empty, vae, small_sd.load_clip())


class EmerDiffLabSmallFlux(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLabSmallFlux",
            display_name="EmerDiff Lab Small Flux",
            category="EmerDiff/lab",
            description="The small trained transformer of the development lab, in place of a model, its VAE and CLIP.",
            inputs=[],
            outputs=loaded(),
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        model, vae, empty = small_flux.load()
        return io.NodeOutput(counted(model, 0.0), empty, vae, small_flux.load_clip())


class EmerDiffLabPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLabPrompt",
            display_name="EmerDiff Lab Prompt",
            category="EmerDiff/lab",
            description=f"A prompt for the small model, of the words {', '.join(SCENES)}.",
            inputs=[io.String.Input("text", default="", tooltip="Words separated by spaces; empty = empty prompt.")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, text) -> io.NodeOutput:
        return io.NodeOutput(load_clip().conditioning(text))


class SmallModelExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [EmerDiffLabSmallModel, EmerDiffLabSmallSD, EmerDiffLabSmallFlux, EmerDiffLabPrompt]
