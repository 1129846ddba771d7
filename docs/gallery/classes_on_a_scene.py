"""A map of classes on its scene

The truth of a made scene: clean ice, ice under debris and lakes, in the palette that every map and app of
the package uses.

Picture: a false-color picture, and beside it the map: clean ice in blue, debris-covered tongues in brown,
small dark blue lakes
"""

import glacierlab as gl

scene = gl.synthetic_scene(seed=30, shape=(240, 300))
figure = gl.viz.map_figure(scene, scene.truth, title="what is true of a made scene")
