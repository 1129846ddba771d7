"""One scene in three combinations of bands

Ice and snow are bright in the visible bands and dark in the short-wave infrared. The combination with SWIR
tells them from cloud and rock at a glance; true color does not.

Picture: three pictures of one made mountain range; ice is white in true color, white in near infrared, and
turquoise where the short-wave infrared is shown as red
"""

from matplotlib.figure import Figure

import glacierlab as gl

scene = gl.synthetic_scene(seed=6, shape=(240, 240))
combinations = {
    "red, green, blue": ("red", "green", "blue"),
    "near infrared, red, green": ("nir", "red", "green"),
    "SWIR, near infrared, green": ("swir16", "nir", "green"),
}
figure = Figure(figsize=(10, 3.7), layout="constrained")
for ax, (title, bands) in zip(figure.subplots(1, 3), combinations.items(), strict=True):
    ax.imshow(gl.viz.false_color(scene, bands))
    ax.set(title=title, xticks=[], yticks=[])
