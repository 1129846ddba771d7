"""How much a threshold decides

Scores and mapped area against the threshold of red/SWIR. The shaded range is where F1 stays within 0.01
of its best. On a real scene there is no truth, and only the area is known.

Picture: precision, recall and F1 as lines against the threshold, a dashed line of the mapped area that
falls, and a dotted vertical line at the best threshold
"""

import numpy as np

import glacierlab as gl

scene = gl.synthetic_scene(seed=6, shape=(240, 240))
ratio = scene.glacier.ratio("red", "swir16")
thresholds = np.arange(1, 10.1, 0.25)
curve = gl.best_threshold(ratio, scene.truth, thresholds)
figure = gl.viz.threshold_figure(curve, gl.area_curve(ratio, thresholds))
