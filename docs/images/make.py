"""Makes the pictures of README and notebooks: `python docs/images/make.py`."""

from pathlib import Path

import glacierlab as gl

scene = gl.sample("athabasca")  # NASA HLS, through SatRbedo
outlines = gl.map_glaciers(scene).glacier.outlines()
reference = gl.sample("athabasca_outline")
figure = gl.viz.scene_figure(scene, outlines, reference, title="Athabasca Glacier, 16 August 2020")
figure.savefig(Path(__file__).with_name("athabasca.png"), dpi=80)

layers = ["nir", "swir16", "pca:2", "tasseled_cap:wetness", "glcm:nir:homogeneity", "slope"]
stack = scene.assign_attrs(sun_azimuth=151, sun_elevation=48).glacier.stack([*layers, "hillshade"])
figure = gl.viz.stack_figure(stack)
figure.savefig(Path(__file__).with_name("stack.png"), dpi=62)
