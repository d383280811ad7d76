"""Registration of sources: what lies beside each other is found, moved and cut to the common part, without jax.

A transform is a (3, 3) matrix that takes a pixel (x, y, 1) of the reference to the same place in a source.
"""
