"""segments + text -> the segments that the words mean, by the diffusion model and the CLIP in the graph."""

import math
from functools import partial

import torch
from comfy_api.latest import io, ui
from torch.nn.utils.rnn import pad_sequence

from ..emerdiff_ops.colors import highlight, with_texts
from ..emerdiff_ops.labels import segment_areas
from ..emerdiff_ops.schedule import sample_level
from ..emerdiff_ops.text_scores import (
    SIGNS,
    area_weights,
    attention_sign,
    best_segments,
    prediction_sign,
    split_phrases,
    text_scores,
)
from . import hooks, host, inputs
from .select import picture_under
from .types import SegmentationType

TIMESTEPS = (901, 801, 701, 601)  # where most is undecided, the text tells most (docs/selecting_by_text.md)
DRAWS = 4  # of noise, at every timestep


def select_by_text(
    segmentation, model, clip, image, vae, text, count=1, threshold=0.0, seed=0, by="both", node=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks [B * P, H, W] of the segments that fit each phrase best, phrase-major inside an image; scores [B, P, K].

    `node` is the id of the node that shows the progress.
    """
    phrases = split_phrases(text)
    signs = segment_signs(model, clip, vae, segmentation, image, phrases, seed, node)
    scores = text_scores(*signs, segment_areas(segmentation.labels, segmentation.count)[:, None], by)
    chosen = best_segments(scores, count, threshold)  # [B, P, K]
    for index, phrase in (~chosen.any(-1)).nonzero().tolist():
        host.log.warning(
            'no segment of picture %d scores above %g for "%s"; its mask is empty. The best scores %.2f.',
            index, threshold, phrases[phrase], scores[index, phrase].max(),
        )  # fmt: skip
    masks = [each[:, labels.long()] for each, labels in zip(chosen, segmentation.labels)]  # [P, H, W] each
    return torch.cat(masks).float(), scores


def segment_signs(
    model, clip, vae, segmentation, image, phrases, seed=0, node=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and prediction sign of every segment for every phrase: [B, P, K] each."""
    layers = host.coarsest_output_layers(model)
    check_clip(model, clip)
    groups = pad_sequence([words_of(clip, phrase) for phrase in phrases], batch_first=True)  # [P, tokens]
    prompts = [("", groups), *zip(phrases, groups.split(1))]
    prompts = [(encode(clip, phrase), words) for phrase, words in prompts]
    latents, size = host.encode(model, vae, host.check_image(picture_under(segmentation, image)), 0)
    noise = torch.randn(len(TIMESTEPS), DRAWS, *latents.shape[1:], generator=torch.Generator().manual_seed(seed))
    rows = len(latents) * len(prompts) * len(TIMESTEPS) * DRAWS
    progress = host.Progress({"row": rows}, {"row": 1.0}, node)
    attention, prediction = [], []
    for labels, latent in zip(segmentation.labels, latents.split(1)):
        grids = [host.grid_of(model, layers[0], latent.shape[-2:]), tuple(latent.shape[-2:])]
        weights = [weights_on(labels, segmentation.count, grid, latent.shape[-2], size, vae) for grid in grids]
        (nothing, empty), *others = [respond(model, *each, latent, noise, layers, progress) for each in prompts]
        attention += [attention_sign(maps[0], nothing[p], weights[0]) for p, (maps, _) in enumerate(others)]
        prediction += [prediction_sign(error, empty, weights[1]) for _, error in others]
    return tuple(torch.stack(each).unflatten(0, (-1, len(phrases))) for each in (attention, prediction))


def check_clip(model, clip) -> None:
    """A ValueError naming the fix where there is no CLIP, or one whose text this model cannot read."""
    if clip is None:
        raise ValueError("the checkpoint has no text encoder: load one with Load CLIP or DualCLIPLoader")
    width, needed = encode(clip, "")[0][0].shape[-1], host.context_width(model)
    if width != needed:
        raise ValueError(
            f"the CLIP's text is {width} numbers wide, this model takes {needed}: connect MODEL and CLIP of the same "
            "checkpoint"
        )


def encode(clip, text: str) -> list:
    """CONDITIONING of a text, as CLIPTextEncode gives it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def words_of(clip, phrase: str) -> torch.Tensor:
    """1 at the phrase's own tokens, 0 at start, end and padding: [tokens]. Several text encoders are taken together."""
    encoders = clip.tokenize(phrase, return_word_ids=True).values()  # each a list of chunks
    marks = [torch.tensor([float(word > 0) for chunk in chunks for *_, word in chunk]) for chunks in encoders]
    shortest = min(map(len, marks))  # the host cuts what it joins to the shortest
    words = torch.stack([each[:shortest] for each in marks]).amax(0)
    if not words.any():
        raise ValueError(f'the text encoder finds no word in "{phrase}"; check the name of the embedding, if it is one')
    return words


def weights_on(labels, count, grid, latent_height, size, vae) -> torch.Tensor:
    """The segments' area weights [K, h*w] on a grid that the UNet has halved, rounding up, from the latent."""
    halvings = math.ceil(math.log2(latent_height / grid[0]))
    side = host.pixels_per_cell(vae) * 2**halvings
    return area_weights(labels, count, grid, (size[0] / side, size[1] / side))


def respond(
    model, conditioning, groups, latent, noise, layers, progress, timesteps=TIMESTEPS
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model makes of one noised picture under a prompt, at every timestep, averaged over the draws of noise.

    noise [levels, draws, c, h', w']. Attention to each group of tokens, averaged over the layers, [groups, levels,
    h*w]; squared error of the predicted latent, averaged over channels, [levels, h'*w'].
    """
    attention, errors = [], []
    batch = host.Batch(model, latent.shape[-2:])

    def work(x0, predict):
        for timestep, draws in zip(timesteps, noise):
            sigma, level, pending = host.sigma_of(model, timestep), [], draws
            while len(pending):
                eps = pending[: batch.rows]
                answer = batch.attempt(partial(answer_to, predict, x0, sigma, eps, layers, groups), len(eps), fewest=1)
                if answer is not None:
                    level.append(answer)
                    pending = pending[len(eps) :]
                    progress.step("row", len(eps))
            maps, error = zip(*level)
            attention.append(torch.cat(maps, 1).mean(1))  # [groups, h*w]
            errors.append(torch.cat(error).mean(0))  # [h'*w']
        return x0

    host.run_session(model, conditioning, latent, work, min(batch.rows, noise.shape[1]))
    return torch.stack(attention, 1), torch.stack(errors)


def answer_to(predict, x0, sigma, eps, layers, groups) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention to the groups of tokens, [groups, rows, h*w], and squared error, [rows, h'*w'], under some noise."""
    hook = hooks.WordAttention(layers, groups, host.attend)
    denoised = predict(sample_level(x0, sigma, eps.to(x0)), sigma, hook)
    return attention_of(hook), (denoised - x0).square().mean(1).flatten(1).float().cpu()


def attention_of(hook) -> torch.Tensor:
    """The mean of the layers' maps: [groups, rows, h*w]."""
    if not hook.maps:
        raise ValueError("another node replaces this model's blocks; connect the model from before that node")
    return torch.stack(list(hook.maps.values())).mean(0)


def shown(segmentation, image, masks, scores) -> torch.Tensor:
    """The picture with each phrase's mask highlighted and every segment's score written in it: [B * P, H, W, 3]."""
    phrases = scores.shape[1]
    picture, labels = (each.repeat_interleave(phrases, 0) for each in (image, segmentation.labels))
    texts = [[f"{score:.1f}" for score in each] for each in scores.flatten(0, 1).tolist()]
    return with_texts(highlight(picture, masks), labels, texts)


class EmerDiffSelectByText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectByText",
            display_name="EmerDiff Select by Text",
            category="EmerDiff",
            description="Pick the segments that a word means, with the CLIP and the diffusion model of the checkpoint: "
            "no detector, no download. Several phrases, separated by commas, give a mask each.",
            search_aliases=["text mask", "mask by word", "CLIPSeg", "grounding", "select by prompt", "DAAM"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                inputs.model(),
                io.Clip.Input("clip", tooltip="The CLIP of the same checkpoint as the model."),
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
                    tooltip="0: take the count best. Otherwise take every segment whose score, written in the overlay, "
                    "is above this; 1 means one standard deviation above the picture's mean.",
                ),
                inputs.seed("Seed of the noise that the picture is judged under. The scores depend on it a little."),
                io.Combo.Input(
                    "by",
                    options=list(SIGNS),
                    default="both",
                    advanced=True,
                    tooltip='What the score is made of. "attention": where the model looks for the words. '
                    '"prediction": where it predicts the picture better when it is told the words. "both": their sum.',
                ),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="mask",
                    tooltip="One mask for each phrase of each picture, the first picture's phrases first; 0 or 1, "
                    "exactly the picture's size.",
                ),
                io.Image.Output(
                    display_name="overlay",
                    tooltip="For each mask the picture with the selection highlighted and every segment's score.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def execute(cls, segmentation, model, clip, image, vae, text, count, threshold, seed, by="both") -> io.NodeOutput:
        picture, node = picture_under(segmentation, image), host.shown_node(cls.hidden)
        mask, scores = select_by_text(segmentation, model, clip, image, vae, text, count, threshold, seed, by, node)
        overlay = shown(segmentation, picture, mask, scores)
        return io.NodeOutput(host.to_output(mask), host.to_output(overlay), ui=ui.PreviewImage(overlay))
