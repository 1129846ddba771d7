"""What kind of numbers scenes hold: of which sensors, and in which radiometry."""

from ..errors import RadiometryError
from ..tables import SENSORS

SEVERAL = "+"  # joins the names of sensors


def sensors_of(scenes):
    """The sensor of scenes, several joined by name; None where one does not say it."""
    found = {kind_of_scene(scene)[0] for scene in scenes}
    return None if None in found else SEVERAL.join(sorted(found))


def kind_of_scene(scene):
    """A scene's sensor and radiometry, text or None."""
    sensor, radiometry = scene.attrs.get("sensor"), scene.attrs.get("radiometry")
    return None if sensor is None else str(sensor), str(radiometry or "unknown")


def require_one_kind(scenes, *, capped):
    """RadiometryError unless one recipe can serve all scenes; with a tasseled cap (`capped`), one sensor."""
    sensors, radiometries = (
        sorted(set(map(str, each))) for each in zip(*map(kind_of_scene, scenes), strict=True)
    )
    if len(radiometries) > 1:
        raise RadiometryError(
            f"The scenes are not of one kind: they hold {radiometries}. Convert them first "
            "(scene.glacier.to_reflectance)."
        )
    if len(sensors) > 1 and (capped or sensors_of(scenes) is None):
        why = (
            "a tasseled cap is made for one: leave it out, or fit a recipe for each sensor"
            if capped
            else "some scenes do not say theirs: open them with sensor="
        )
        raise RadiometryError(f"The scenes are not of one kind: sensors {sensors}, and {why}.")


def require_same_kind(scene, sensor, radiometry):
    """RadiometryError unless a scene is of the radiometry, and of one of the sensors, of a fitted recipe."""
    known = [None] if sensor is None else sensor.split(SEVERAL)
    found = kind_of_scene(scene)
    taken_for = SENSORS[found[0]].taken_for if found[0] in SENSORS else None
    if not {found[0], taken_for or found[0]} & {*known} or found[1] != radiometry:
        raise RadiometryError(
            f"The recipe was fitted elsewhere: {sensor!r} with {radiometry!r} values there, {found[0]!r} "
            f"with {found[1]!r} here. Convert the scene (scene.glacier.to_reflectance), or fit a recipe on "
            "scenes of its kind."
        )
