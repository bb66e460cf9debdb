"""The generative zoo: diffusion models that paint emoji from words, and LoRAs that teach them one more."""
