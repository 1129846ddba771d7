"""What a band ratio can tell apart, and what not

Values of red/SWIR and of the snow index over clean ice, debris and the ground. Debris lies where the ground
lies.

Picture: two histograms; the curve of clean ice stands apart on the right, those of debris and of the ground
lie on each other
"""

import glacierlab as gl

scene = gl.synthetic_scene(seed=30, shape=(300, 300))
ratio = scene.glacier.ratio("red", "swir16")
layers = {"red / SWIR, up to 12": ratio.where(ratio < 12), "NDSI": scene.glacier.index("ndsi")}
codes = {"ground": 0, "clean ice": 1, "debris": 2}
panels = {
    title: {name: layer.values[scene.truth.values == code] for name, code in codes.items()}
    for title, layer in layers.items()
}
figure = gl.viz.histogram_figure(panels, columns=2)
