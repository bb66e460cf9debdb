"""Zoos of small nets trained from scratch, with their epochs: what autoencoders (SANE) learn from."""
