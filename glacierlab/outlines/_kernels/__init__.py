"""NumPy arrays in, NumPy arrays out, compiled: from pixels to arcs, and what is done to arcs."""
