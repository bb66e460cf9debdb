"""SANE: a model as a sequence of weight tokens, embedded, judged, and made anew (arXiv 2406.09997).

    tokens ──► autoencoder ──► embed ──┬──► properties   accuracy, epoch, gap, each with an interval
    align                    train     ├──► sample       new weights from old ones
                                       └──► layers       how much each layer carries

Nothing here knows the Hub, a zoo or the database: tensors come in, and what a network does with pictures
is a function that the caller brings along.
"""
