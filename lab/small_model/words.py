"""What the small models are told: single words, a trained vector each, in place of CLIP."""

from pathlib import Path

import torch
from safetensors.torch import load_file

SCENES = ("sky", "ground", "disc", "square", "triangle", "ring", "star", "bar")
COCO = tuple(
    """person bicycle car motorcycle airplane bus train truck boat traffic-light fire-hydrant stop-sign parking-meter
    bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis
    snowboard sports-ball kite baseball-bat baseball-glove skateboard surfboard tennis-racket bottle wine-glass cup fork
    knife spoon bowl banana apple sandwich orange broccoli carrot hot-dog pizza donut cake chair couch potted-plant bed
    dining-table toilet tv laptop mouse remote keyboard cell-phone microwave oven toaster sink refrigerator book clock
    vase scissors teddy-bear hair-drier toothbrush banner blanket bridge cardboard counter curtain door floor-wood
    flower fruit gravel house light mirror net pillow platform playingfield railroad river road roof sand sea shelf
    snow stairs tent towel wall-brick wall-stone wall-tile wall-wood water window-blind window tree fence ceiling sky
    cabinet table floor pavement mountain grass dirt paper food building rock wall rug""".split()
)
PADDING = "<pad>"
SMALL_MODEL = (PADDING, *SCENES)
SMALL_SD = tuple(dict.fromkeys((PADDING, *SCENES, *COCO)))  # the sky is in both


class WordList:
    """CLIP, as far as the pack and CLIPTextEncode use one: the words of a vocabulary, `length` of them in a prompt.

    The vectors are the tensor "words" [words, width] of the weights; the vocabulary's first word is the padding.
    """

    def __init__(self, vocabulary: tuple[str, ...], length: int, weights: Path):
        self.vocabulary, self.length, self.weights = vocabulary, length, weights

    def tokenize(self, text: str, return_word_ids: bool = False, **_) -> dict:
        """{"words": one list of (token, weight[, word number])}; the padding has the word number 0."""
        words = text.replace(",", " ").split()[: self.length]
        unknown = sorted(set(words) - set(self.vocabulary[1:]))
        if unknown:
            raise ValueError(f"the small model knows only the words {self.vocabulary[1:]}, not {unknown}")
        tokens = [(self.vocabulary.index(word), 1.0, number) for number, word in enumerate(words, 1)]
        tokens += [(0, 1.0, 0)] * (self.length - len(words))
        return {"words": [tokens if return_word_ids else [token[:2] for token in tokens]]}

    def encode_from_tokens_scheduled(self, tokens: dict, **_) -> list:
        """CONDITIONING of what `tokenize` gave."""
        table = load_file(self.weights)["words"].float()  # [words, width]
        numbers = torch.tensor([token for token, *_ in tokens["words"][0]])
        return [[table[numbers][None], {}]]  # [1, length, width]

    def conditioning(self, text: str) -> list:
        """CONDITIONING of words separated by spaces; of the empty prompt for none."""
        return self.encode_from_tokens_scheduled(self.tokenize(text))
