"""Model zoos: models trained on known data, to train and test experts on."""
