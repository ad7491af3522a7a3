"""What to compare with: the plain procedure, and models at full size or of another form with random weights."""
