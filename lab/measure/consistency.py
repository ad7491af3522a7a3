"""How steady the segments of a video are when the true regions are known in every frame.

labels and truth [N, H, W]: segment numbers and true regions of N frames. Numbers count as they are: a segment that is
called otherwise in the next frame has changed.
"""

import numpy as np

from measure.metrics import boundaries, boundary_f, iou, mean_iou, merged_to_truth

WINDOWS = (8, 16)  # frames of mVC8 and mVC16


def clip_scores(labels: np.ndarray, truth: np.ndarray, pixel: float = 1.0) -> dict[str, float]:
    """Of a clip's label maps: "mvc8", "mvc16", "flicker", and what joins every segment to a true region once for all.

    "miou": mean over the true regions of the clip as one volume; "f2": boundary F within 2 times `pixel`, mean over the
    frames; "picked": mean IoU, over the clip, of what is picked in the first frame.
    """
    joined = merged_to_truth(labels, truth)
    borders = [boundary_f(boundaries(ours), boundaries(true), (2 * pixel,))[0] for ours, true in zip(joined, truth)]
    return {
        **{f"mvc{frames}": video_consistency(labels, truth, frames) for frames in WINDOWS},
        "flicker": flicker(labels, truth),
        "miou": mean_iou(joined, truth),
        "f2": float(np.mean(borders)),
        "picked": picked_iou(labels, truth),
    }


def video_consistency(labels: np.ndarray, truth: np.ndarray, frames: int) -> float:
    """mVC of so many frames (Miao et al. 2021, "VSPW"), the mean over all windows of that length.

    Of the pixels whose true region is the same throughout a window, the share whose segment is too. NaN where the clip
    is shorter than a window. The published script leaves the last window out; here all count. Windows without such a
    pixel are left out.
    """
    shares = [
        steady(labels[begin : begin + frames])[still].mean()
        for begin in range(len(truth) - frames + 1)
        if (still := steady(truth[begin : begin + frames])).any()
    ]
    return float(np.mean(shares)) if shares else float("nan")


def steady(maps: np.ndarray) -> np.ndarray:
    """Where all of the maps [N, H, W] say the same: [H, W] bool."""
    return (maps == maps[0]).all(0)


def flicker(labels: np.ndarray, truth: np.ndarray) -> float:
    """The share of pixels whose segment changes to the next frame, of those whose true region does not."""
    still = truth[1:] == truth[:-1]
    return float((labels[1:] != labels[:-1])[still].mean())


def picked_iou(labels: np.ndarray, truth: np.ndarray, first_thing: int = 2) -> float:
    """A thing's segments clicked in the first frame, against the thing in all frames: mean IoU over the things there.

    Picked are the segments that belong to it there more than to any other true region, or, if none does, the one with
    most of its pixels. Things are the true regions from `first_thing` on. NaN where the first frame shows none.
    """
    things = [int(region) for region in np.unique(truth[0]) if region >= first_thing]
    each = [iou(np.isin(labels, picked(labels[0], truth[0], thing)), truth == thing) for thing in things]
    return float(np.mean(each)) if each else float("nan")


def picked(labels: np.ndarray, truth: np.ndarray, thing: int) -> list[int]:
    """The segments of a label map [H, W] that belong to a thing more than to any other true region."""
    own = np.unique(labels[(merged_to_truth(labels, truth) == thing)])
    return own.tolist() or [int(np.bincount(labels[truth == thing]).argmax())]
