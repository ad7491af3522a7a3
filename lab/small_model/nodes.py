"""The small models' nodes, standing in for those that load a model and for CLIP Text Encode."""

import time
from pathlib import Path
from types import ModuleType

import folder_paths
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import ComfyExtension, io

from . import model as small_model
from . import small_flux, small_sd
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


class Loader(io.ComfyNode):
    """In place of the nodes that load a model, its VAE and its CLIP."""

    family: ModuleType
    called = about = ""

    @classmethod
    def define_schema(cls):
        tooltip = "Seconds an evaluation waits."
        return io.Schema(
            node_id=cls.__name__,
            display_name=f"EmerDiff Lab {cls.called}",
            category="EmerDiff/lab",
            description=f"{cls.about} of the development lab, in place of a checkpoint.",
            inputs=[io.Float.Input("pause", default=0.0, min=0.0, max=10.0, optional=True, tooltip=tooltip)],
            outputs=[
                io.Model.Output(),
                io.Conditioning.Output(display_name="empty prompt"),
                io.Vae.Output(),
                io.Clip.Output(),
            ],
        )

    @classmethod
    def execute(cls, pause=0.0) -> io.NodeOutput:
        model, vae, empty = cls.family.load()
        return io.NodeOutput(counted(model, pause), empty, vae, cls.family.load_clip())


class EmerDiffLabSmallModel(Loader):
    family, called, about = small_model, "Small Model", "The small trained model"


class EmerDiffLabSmallSD(Loader):
    family, called, about = small_sd, "Small SD", "The small Stable Diffusion, for photographs,"


class EmerDiffLabSmallFlux(Loader):
    family, called, about = small_flux, "Small Flux", "The small trained transformer"


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
        return io.NodeOutput(small_model.load_clip().conditioning(text))


class SmallModelExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [EmerDiffLabSmallModel, EmerDiffLabSmallSD, EmerDiffLabSmallFlux, EmerDiffLabPrompt]
