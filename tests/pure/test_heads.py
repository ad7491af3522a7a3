"""What queries are held to while the small Stable Diffusion is trained: to tell what their cell shows."""

from types import SimpleNamespace

import torch

from training.heads import BLOCKS, CELLS, Heads


def unet_with(width):
    """The part of a UNet that heads look at: a query projection in each block."""

    def block():
        attention = SimpleNamespace(to_q=torch.nn.Linear(width, width, bias=False))
        transformer = SimpleNamespace(transformer_blocks=[SimpleNamespace(attn2=attention)])
        return [None, transformer]

    return SimpleNamespace(output_blocks=[block() for _ in range(max(BLOCKS) + 1)])


def evaluate(unet, hidden):
    for number in BLOCKS:
        unet.output_blocks[number][1].transformer_blocks[0].attn2.to_q(hidden)


def test_queries_learn_to_tell_the_latents_and_the_words_of_their_cell():
    torch.manual_seed(0)
    x0 = torch.randn(2, 4, 8, 8)
    tokens = torch.zeros(2, 8, 8, dtype=torch.uint8)
    tokens[:, 2:4, 2:4], tokens[1, 4:, 4:] = 3, 5
    hidden, unet = torch.randn(2, 4, 24), unet_with(24)
    heads = Heads(unet, 4, 6)
    weights = [unet.output_blocks[n][1].transformer_blocks[0].attn2.to_q.weight for n in BLOCKS]
    optimizer = torch.optim.Adam([*heads.parameters(), *weights], 0.02)
    losses = []
    for _ in range(400):
        evaluate(unet, hidden)
        loss = heads.loss(x0, tokens)
        assert loss.shape == (2,)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.sum().item())
    assert losses[-1] < 0.05 * losses[0]
    told = heads.heads[0](heads.queries[0])
    assert told[0, 0, 16:].argmax() == 3, "the first cell's middle is named"
    assert told[1, 3, 16:].argmax() == 5
    top_left = x0[0, :, :2, :2].mean((1, 2))  # of the first cell, by channel
    assert torch.allclose(told[0, 0, 0:16:4], top_left, atol=0.3)


def test_where_nobody_named_anything_only_the_latents_count():
    unet = unet_with(8)
    heads = Heads(unet, 4, 6)
    evaluate(unet, torch.randn(1, 4, 8))
    x0, nothing = torch.randn(1, 4, 2 * CELLS, 2 * CELLS), torch.zeros(1, 2 * CELLS, 2 * CELLS, dtype=torch.uint8)
    with torch.no_grad():
        loss = heads.loss(x0, nothing)
        for head in heads.heads:
            head.bias[16:] += torch.randn(6)
        assert torch.equal(heads.loss(x0, nothing), loss) and loss.isfinite().all()
