"""What the browser does by itself: JavaScript of `bokeh.models.CustomJS`."""

# One scale in both directions. `whole`: all that is asked for stays in view; else the height stays.
FIT = """
const w = figure.inner_width, h = figure.inner_height
if (!(w > 0 && h > 0)) return
const {x_range: x, y_range: y} = figure
const first = whole || !figure.fitted
const tall = Math.abs(y.end - y.start) / h
const pixel = first ? Math.max(tall, Math.abs(x.end - x.start) / w) : tall
const cx = (x.start + x.end) / 2, cy = (y.start + y.end) / 2
figure.fitted = true
x.setv({start: cx - pixel * w / 2, end: cx + pixel * w / 2})
y.setv({start: cy - pixel * h / 2, end: cy + pixel * h / 2})
"""

# Pictures left of the line, and one right of it, cut from what came from Python without asking for it again.
CURTAIN = """
const {x_range: x} = figure
const at = x.start + line.tags[0] * (x.end - x.start)
line.visible = right.visible
line.location = at
for (const renderer of [...left, right]) {
  const source = renderer.data_source, data = source.data
  if (!data.image || data.image.length == 0) continue
  if (source.seen !== data) {  // fresh from Python
    source.seen = data
    source.whole = {image: data.image[0], x: data.x[0], dw: data.dw[0]}
  }
  const {image, x: start, dw} = source.whole
  const [rows, columns] = image.shape
  const cut = Math.round(Math.min(1, Math.max(0, (at - start) / dw)) * columns)
  const [from, to] = !right.visible ? [0, columns] : renderer === right ? [cut, columns] : [0, cut]
  const n = Math.max(1, to - from)
  if (data.image[0].shape[1] == n && source.from === from) continue
  source.from = from
  const kept = n == columns ? image : new image.constructor(new ArrayBuffer(4 * rows * n), [rows, n])
  for (let r = 0; n < columns && to > from && r < rows; r++)
    kept.set(new Uint32Array(image.buffer, image.byteOffset + 4 * (r * columns + from), n), r * n)
  data.image = [kept]
  data.x = [start + dw * from / columns]
  data.dw = [dw * n / columns]
  source.change.emit()  // drawn, and not sent back
}
"""

# Where the pointer is: the map's own coordinates, and degrees by a polynomial of the place on the sphere.
POINTER = """
const e = cb_obj
const u = (e.x - cx) / half, v = (e.y - cy) / half
const place = [0, 0, 0]
powers.forEach(([i, j], k) => {
  const term = Math.pow(u, i) * Math.pow(v, j)
  for (const n of [0, 1, 2]) place[n] += terms[n][k] * term
})
const degrees = 180 / Math.PI
const lat = degrees * Math.atan2(place[2], Math.hypot(place[0], place[1]))
const lon = degrees * Math.atan2(place[1], place[0])
const near = Math.abs(u) < 3 && Math.abs(v) < 3
const whole = n => Math.round(n).toLocaleString("en").replaceAll(",", "\\u202f")
const shown = (n, pair) => `${Math.abs(n).toFixed(5)}° ${pair[n < 0 ? 1 : 0]}`
told.text = `${whole(e.x)} E  ${whole(e.y)} N ${unit}`
  + (near ? `  ·  ${shown(lat, "NS")}  ${shown(lon, "EW")}` : "")
"""

# Corners of rings are dragged; elsewhere a drag moves the map.
GRAB = """
if (!corners.tags[0]) return
const {x_range: x, y_range: y} = figure
const pixel = (x.end - x.start) / figure.inner_width
const {data} = corners, e = cb_obj
const n = data.x.length
const nearest = () => {
  let best = -1, least = reach * pixel
  for (let k = 0; k < n; k++) {
    const d = Math.hypot(data.x[k] - e.x, data.y[k] - e.y)
    if (d <= least) { least = d; best = k }
  }
  return best
}
const changed = make => {  // told to Python, though the arrays may be the same
  const columns = ["x", "y", "ring"].map(name => [name, make(Array.from(data[name]), name)])
  corners.setv({data: Object.fromEntries(columns)}, {check_eq: false})
}
const shapes = () => {
  const xs = [], ys = [], {data} = corners
  let last = null
  for (let k = 0; k < data.x.length; k++) {
    if (data.ring[k] !== last) { xs.push([]); ys.push([]); last = data.ring[k] }
    xs[xs.length - 1].push(data.x[k]); ys[ys.length - 1].push(data.y[k])
  }
  rings.data.xs = xs
  rings.data.ys = ys
  rings.change.emit()
}
if (e.event_name == "panstart") {
  corners.grabbed = nearest()
  corners.last = [e.sx, e.sy]
} else if (e.event_name == "pan") {
  const k = corners.grabbed ?? -1
  if (k >= 0) {
    data.x[k] = e.x
    data.y[k] = e.y
    corners.change.emit()
    shapes()
  } else if (corners.last) {
    const dx = (e.sx - corners.last[0]) * pixel, dy = (e.sy - corners.last[1]) * pixel
    corners.last = [e.sx, e.sy]
    x.setv({start: x.start - dx, end: x.end - dx})
    y.setv({start: y.start + dy, end: y.end + dy})
  }
} else if (e.event_name == "panend") {
  if ((corners.grabbed ?? -1) >= 0) changed(values => values)
  corners.grabbed = -1
  corners.last = null
} else if (e.event_name == "doubletap") {
  const k = nearest()
  if (k < 0 || Array.from(data.ring).filter(ring => ring === data.ring[k]).length <= 3) return
  changed(values => values.toSpliced(k, 1))
  shapes()
} else if (e.event_name == "tap") {
  if (nearest() >= 0) return
  let best = -1, least = reach * pixel
  for (let k = 0; k < n; k++) {
    let next = k + 1
    if (next == n || data.ring[next] !== data.ring[k]) next = Array.from(data.ring).indexOf(data.ring[k])
    const ax = data.x[k], ay = data.y[k], bx = data.x[next] - ax, by = data.y[next] - ay
    const t = Math.min(1, Math.max(0, ((e.x - ax) * bx + (e.y - ay) * by) / (bx * bx + by * by || 1)))
    const d = Math.hypot(ax + t * bx - e.x, ay + t * by - e.y)
    if (d <= least) { least = d; best = k }
  }
  if (best < 0) return
  const own = {x: e.x, y: e.y, ring: data.ring[best]}
  changed((values, name) => values.toSpliced(best + 1, 0, own[name]))
  shapes()
}
"""
