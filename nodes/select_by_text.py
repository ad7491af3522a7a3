"""segments + text -> the segments that the words name."""

from comfy_api.latest import io

from ..emerdiff_ops.text_scores import SIGNS
from . import inputs
from .results import word_outputs, words_result
from .steps.score_text import COUNTERS, GOCA, Asked, Reader
from .steps.word_masks import find_words, picture_with_scores
from .wires import SegmentationType


class EmerDiffSelectByText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectByText",
            display_name="EmerDiff Select by Text",
            category="EmerDiff",
            description="Pick the segments that a word means, with the CLIP and the diffusion model of the checkpoint: "
            "no detector, no download. Several phrases, separated by commas, give a mask each.",
            is_experimental=True,  # measured only on small models
            search_aliases=["text mask", "mask by word", "select object", "CLIPSeg", "grounding", "DAAM"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                inputs.knows_words(),
                io.Clip.Input("clip", tooltip="The CLIP of the same checkpoint as the model, or its text encoders."),
                io.Image.Input("image", tooltip="The picture or batch of pictures that was segmented."),
                inputs.vae(),
                io.String.Input(
                    "text",
                    default="",
                    tooltip='What to look for, as a caption would name it: "dog". Several phrases, separated by '
                    'commas, give a mask each: "dog, sky".',
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=256,
                    tooltip="How many segments each phrase takes, the best first. A thing is often cut into several.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="0: take the count best. Otherwise take every segment whose score, written in the "
                    "overlay, is higher. 1 is one standard deviation above the picture's mean.",
                ),
                inputs.seed("Seed of the noise that the picture is judged under. The scores depend on it a little."),
                io.Combo.Input(
                    "by",
                    options=[*SIGNS, GOCA],
                    default="both",
                    advanced=True,
                    tooltip='How a UNet scores. "attention": where the model looks for the words. "prediction": where '
                    'it predicts the picture better when it knows the words. "both": their sum. "goca": GoCA as '
                    "published, the words among all words and counter_words, in one evaluation. Ignored by "
                    "transformers.",
                ),
                inputs.counter_words(),
            ],
            outputs=word_outputs(),
        )

    @classmethod
    def execute(
        cls, segmentation, model, clip, image, vae, text, count, threshold, seed, by="both", counter_words=COUNTERS
    ) -> io.NodeOutput:
        asked = Asked(text, seed, by, counter_words)
        found = find_words(Reader(model, clip, vae), segmentation, image, asked, count, threshold)
        return words_result(found, picture_with_scores(segmentation, image, found.mask, found.scores))
