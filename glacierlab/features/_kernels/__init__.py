"""NumPy arrays in, NumPy arrays out, compiled: no xarray, no dask, no files."""

import numba

# nogil: dask's threads run blocks side by side. No fast-math: a pixel's result must not depend on its block.
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
