"""Programs of jax as ONNX graphs, for fusions whose loops have a length that is known.

``walk`` goes through what jax traced, with calls and loops written out and constants computed; ``elementwise``,
``shapes``, ``slices`` and ``products`` say what each primitive is in ONNX; ``graph`` collects nodes. Values keep axes
that were only repeated at length 1, so that a repeated array is never stored.
"""

from ttd_jax.onnx.walk import trace_to_onnx

__all__ = ["trace_to_onnx"]
