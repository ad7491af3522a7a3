"""How the small models were made.

train              the small model
train_autoencoder  the small Stable Diffusion's autoencoder
train_small_sd     the small Stable Diffusion's UNet
train_small_flux   the small Flux
loop               learning rate, averaged weights, checkpoints
optimizer          Muon
network            words, initial weights, noise levels
latents            what the small Stable Diffusion learns from
heads              what the queries are held to
"""
