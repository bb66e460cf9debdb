"""Tree experts: what a model was trained on, read off one of its layers."""
