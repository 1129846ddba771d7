"""Glaciers, their divides and center lines

One body of ice, divided where the ground says that it flows apart, with the longest way down of each
glacier.

Picture: glaciers in pastel colors on a hillshade, with lines of the divides between them and branching
center lines
"""

import glacierlab as gl

world = gl.synthetic_world(seed=96, years=[2020], shape=(340, 340), latitude=47.0)
truth, inside = world.truth(2020), slice(30, -30)  # basins are cut off at the rim of the DEM
ice = (truth.class_map == 1).astype("uint8")[inside, inside]
glaciers = gl.split_glaciers(gl.vectorize(gl.outlines.clean(ice), smooth=2), truth.elevation)
lines = gl.outlines.centerlines(glaciers, truth.elevation)
shade = truth.elevation.glacier.terrain("hillshade")[:, inside, inside]
figure = gl.viz.divides_figure(glaciers, shade, lines)
