"""Bad input over HTTP: the error says what to do instead, and the server goes on."""

import json

import pytest
from PIL import Image
from server_client import PIXELS

from comfyui.server import WorkflowError
from comfyui.workflow import STEPS, add, with_inputs


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        ("EmerDiffExtractFeatures", {"feature_layer": "output 99"}, "output"),  # by the node
        ("EmerDiffClusterFeatures", {"segments": 257}, "segments"),  # by the host, from the schema
        ("EmerDiffModulateAttention", {"preset": "best"}, "choose one of paper, balanced, fast, draft"),
    ],
)
def test_what_cannot_be_is_refused_and_the_server_still_works(client, node, inputs, message):
    picture = client.put_image("refused.png", Image.fromarray(PIXELS).resize((64, 64)))
    with pytest.raises(WorkflowError, match=node) as error:
        client.run(with_inputs(client.workflow(STEPS, picture, segments=2), node, **inputs))
    assert message in str(error.value)
    shown = {}
    add(shown, "PreviewImage", images=[add(shown, "LoadImage", image=picture), 0])
    assert client.run(shown)
    assert json.loads(client.get("/queue")) == {"queue_running": [], "queue_pending": []}
