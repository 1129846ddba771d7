"""Mapped outlines against true ones

What a ratio finds, in yellow, against what is there, in pink. The brown tongues inside pink lines are
covered by debris, which no threshold on a ratio finds.

Picture: a false-color scene with yellow outlines around the turquoise ice and pink outlines that go further
down brown tongues
"""

import glacierlab as gl

scene = gl.synthetic_scene(seed=30, shape=(240, 300))
outlines = gl.map_glaciers(scene).glacier.outlines()
reference = gl.vectorize(scene.truth.isin([1, 2]).astype("uint8"))
title = f"mapped {outlines.area_km2.sum():.1f} km², true {reference.area_km2.sum():.1f} km²"
figure = gl.viz.scene_figure(scene, outlines, reference, title=title)
