"""Where a model is in doubt

The map of the network that comes with the package, how unsure it is, and where it is wrong, which only a
made world can show.

Picture: four maps side by side: classes, entropy, the spread between turned copies, and errors, which lie
along the borders and on debris
"""

import glacierlab as gl

scene = gl.synthetic_world(seed=60, years=[2020], shape=(240, 240), latitude=28.0).scene(2020)
seen = scene.drop_vars("truth").glacier.predict(
    "default", tta="dihedral", uncertainty=["entropy", "spread"], progress=False
)
figure = gl.viz.uncertainty_figure(seen, scene.truth)
