"""Pictures as a video file and back, for what runs the workflow of videos. PyAV comes with ComfyUI."""

import io

import av
import numpy as np

RATE = 8  # frames a second


def encoded(images: np.ndarray) -> bytes:
    """An MP4 of images [N, H, W, 3] in 0..1, their sides even: H.264 that is next to lossless."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "8"})
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray((image * 255).round().astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def decoded(data: bytes) -> tuple[np.ndarray, float]:
    """The frames of a video [N, H, W, 3] uint8, and how many there are in a second."""
    with av.open(io.BytesIO(data), "r") as container:
        rate = float(container.streams.video[0].average_rate or 0)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), rate
