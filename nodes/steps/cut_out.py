"""pictures and masks -> the things under the masks, on a transparent background."""

from torch import Tensor

from ...emerdiff_ops.segments.edge import Edge, edged
from ...emerdiff_ops.segments.labels import deal_out, unwritten
from ..host.progress import counted
from .checks import masks_of, pictures_of
from .exchange import count_of_pictures


def cut_out(image, mask, grow: int, feather: float) -> tuple[Tensor, Tensor]:
    """Pictures with alpha [M, H, W, 4] and the alpha itself [M, H, W]: one for each mask, picture after picture.

    Masks are cut at 0.5 before `feather` applies. Colours under alpha 0 stay. ValueError where every mask is empty.
    """
    masks, pictures = masks_of(mask), pictures_of(image)
    if not (masks > 0.5).any():
        raise ValueError("the mask is empty, 0 everywhere, so nothing is left to cut out: check what makes the mask")
    dealt = deal_out(masks, count_of_pictures(masks, image))  # [B, N, H, W]
    each = [(picture, own) for picture, rows in zip(pictures, dealt, strict=True) for own in rows]
    made = unwritten(len(each), *masks.shape[1:], 4)
    for number, (picture, own) in enumerate(counted(each, "masks")):
        made[number, ..., :3] = picture
        made[number, ..., 3] = edged(own, Edge(grow, feather))
    return made, made[..., 3].clone()
