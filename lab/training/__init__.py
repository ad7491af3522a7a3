"""How the small Flux was trained on to know words.

train_words  steps down the losses, and the learning rate
losses       words at the picture's tokens, the flow, what the transformer was before
transformer  the small Flux run plainly, with concepts beside the prompt
pictures     latents, prompts, and what each token shows
"""
