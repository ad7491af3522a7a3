"""What to compare with: the plain procedure, and models at full size or of another form with random weights.

plain_procedure  EmerDiff written plainly: the oracle of the tests
rivals           DiffSeg and DiffCut on a model in the host
diffseg          DiffSeg from its equations
diffcut          DiffCut from its equations
full_size        SD1.5 at its full size
sd1_checkpoint   a small checkpoint of SD1.x's form
random_weights   weights for models whose form is what matters
"""
