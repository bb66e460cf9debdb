"""What measures speed and accuracy; each file answers one question and writes docs/results/."""
