"""WHAT, offline: zoo -> expert -> scores.

    zoos       a recipe becomes models in folders; a few of them become the demo's slice
    trees      the weights and the truth of one tree's models, split by split
    experts    a tree becomes an expert: sweep the layers, calibrate, measure, write
    evaluate   the score again, beside the baselines'

Training reads the train split, validation picks layer and checkpoint, calibration sets the thresholds, and
the test split is opened for the scores alone.
"""
