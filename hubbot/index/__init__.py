"""Text search over what was read: numpy and faiss, knows no encoder and no store.

question   what was typed: words, and what the models must be like besides
meaning    from a text's cosines with concepts to how much each of them is meant
kinds      what a model of a shelf is to a text: a point in an expert's space, or a chance for each label
columns    what models are filtered by
chances    which model knows which concept, sparse
flat       models in memory, exact
base       models on the disk, for millions: an inverted file over memory-mapped codes
shelf      all models that one version of an expert has read: a base, and what came since
found      what several shelves found, as one answer
"""
