"""A stack of layers

Bands, an index, a component, wetness, texture and terrain on one grid, each made by its name.

Picture: eight small maps of the same ground with their color bars: bands, a snow index, a principal
component, wetness, texture, slope and hillshade
"""

import glacierlab as gl

scene = gl.synthetic_scene(seed=6, shape=(200, 240))
layers = [
    "red",
    "swir16",
    "ndsi",
    "pca:1",
    "tasseled_cap:wetness",
    "glcm:nir:homogeneity",
    "slope",
    "hillshade",
]
stack = scene.assign_attrs(sun_azimuth=151, sun_elevation=48).glacier.stack(layers)
figure = gl.viz.stack_figure(stack)
