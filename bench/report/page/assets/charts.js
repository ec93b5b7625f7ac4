// Scales, axes and the two kinds of charts. Text only ever enters the page as text nodes.
const SVG = "http://www.w3.org/2000/svg";
const MARKS = ["circle", "square", "up", "diamond", "cross", "plus", "down", "bar"];
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "14 5"];
const look = i => ({ colour: "c" + (i % 7), mark: MARKS[i % 8], dash: DASHES[i % 5] });

function svg(name, attributes = {}, parent = null, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function number(v) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "-";
  return Number(v.toPrecision(4)).toString();
}

// Path of a marker of radius r around x, y.
function mark(kind, x, y, r) {
  const s = r * 0.9, t = r * 1.15;
  switch (kind) {
    case "square": return `M${x - s},${y - s}h${2 * s}v${2 * s}h${-2 * s}Z`;
    case "up": return `M${x},${y - t}L${x + t},${y + s}H${x - t}Z`;
    case "down": return `M${x},${y + t}L${x + t},${y - s}H${x - t}Z`;
    case "diamond": return `M${x},${y - t}L${x + t},${y}L${x},${y + t}L${x - t},${y}Z`;
    case "cross": return `M${x - s},${y - s}l${2 * s},${2 * s}M${x + s},${y - s}l${-2 * s},${2 * s}`;
    case "plus": return `M${x - t},${y}h${2 * t}M${x},${y - t}v${2 * t}`;
    case "bar": return `M${x - t},${y}h${2 * t}`;
    default: return `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`;
  }
}

function linearTicks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(k => k * power).find(k => k >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9) + step * 1e-9; k++) ticks.push(k * step);
  return ticks;
}

// Ticks of a logarithmic axis: 1, 2, 5 of each decade, or powers of ten where there are many, or linear ones.
function logTicks(low, high, count) {
  for (const steps of [[1, 2, 5], [1]]) {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const s of steps) {
        const v = s * 10 ** e;
        if (v >= low * 0.999 && v <= high * 1.001) ticks.push(v);
      }
    if (ticks.length >= 3 && (ticks.length <= count + 2 || steps.length === 1)) return ticks;
  }
  return linearTicks(low, high, count);
}

// A mapping of [low, high] to pixels [a, b].
function scale(low, high, a, b, log) {
  const f = log ? Math.log : v => v;
  const from = f(low), span = f(high) - from || 1;
  const at = v => a + (f(v) - from) / span * (b - a);
  at.ticks = count => (log ? logTicks : linearTicks)(low, high, count);
  return at;
}

// A frame with axes. Returns {root, plot, x, y, inside}; marks are drawn into plot, which clips them.
let frames = 0;
function frame(box, x, y) {
  const width = Math.max(box.clientWidth, 260), height = Math.round(Math.min(430, Math.max(290, width * 0.66)));
  const m = { left: 54, right: 14, top: 26, bottom: 42 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application" });
  const right = width - m.right, bottom = height - m.bottom;
  const sx = scale(x.low, x.high, m.left, right, x.log), sy = scale(y.low, y.high, bottom, m.top, y.log);
  const clip = `clip${frames++}`;
  svg("rect", { x: m.left - 6, y: m.top - 6, width: right - m.left + 12, height: bottom - m.top + 12 }, svg("clipPath", { id: clip }, root));
  let last = -Infinity;
  for (const v of sx.ticks(Math.floor(width / 80))) {
    const at = sx(v), label = number(v), half = label.length * 3.5;
    if (at - half < last + 6 || at + half > width - 2) continue;
    last = at + half;
    const g = svg("g", { class: "tick" }, root);
    svg("line", { x1: at, x2: at, y1: m.top, y2: bottom }, g);
    svg("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, g, label);
  }
  last = Infinity;
  for (const v of sy.ticks(Math.floor(height / 50))) {
    const at = sy(v);
    if (at > last - 14) continue;
    last = at;
    const g = svg("g", { class: "tick" }, root);
    svg("line", { x1: m.left, x2: right, y1: at, y2: at }, g);
    svg("text", { x: m.left - 6, y: at + 4, "text-anchor": "end" }, g, number(v));
  }
  svg("path", { class: "axis", d: `M${m.left},${m.top}V${bottom}H${right}` }, root);
  svg("text", { x: 4, y: 14, class: "label" }, root, y.label);
  svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "label" }, root, x.label);
  const inside = (px, py) => px >= m.left - 6 && px <= right + 6 && py >= m.top - 6 && py <= bottom + 6;
  return { root, plot: svg("g", { "clip-path": `url(#${clip})` }, root), x: sx, y: sy, inside, m, bottom, right };
}

// Hover, touch and keyboard for hits {x, y, show()}, sorted by x; pick(hit) on click, tap and Enter.
function interact(f, hits, tip, pick, nearest) {
  const ring = svg("circle", { class: "ring", r: 7, visibility: "hidden" }, f.root);
  let current = -1;
  const choose = (k, clientX, clientY) => {
    current = k;
    if (k < 0) { ring.setAttribute("visibility", "hidden"); tip.hide(); return; }
    const hit = hits[k];
    for (const [key, v] of [["cx", hit.x], ["cy", hit.y], ["visibility", "visible"]]) ring.setAttribute(key, v);
    const box = f.root.getBoundingClientRect(), zoom = box.width / f.root.viewBox.baseVal.width;
    tip.show(hit.show(), clientX ?? box.left + hit.x * zoom, clientY ?? box.top + hit.y * zoom);
  };
  const find = event => {
    const box = f.root.getBoundingClientRect(), zoom = box.width / f.root.viewBox.baseVal.width;
    return nearest((event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom, event.pointerType === "touch" ? 40 : 28);
  };
  f.root.addEventListener("pointermove", e => { if (e.pointerType !== "touch") choose(find(e), e.clientX, e.clientY); });
  f.root.addEventListener("pointerleave", e => { if (e.pointerType !== "touch") choose(-1); });
  f.root.addEventListener("blur", () => choose(-1));
  f.root.addEventListener("click", e => {
    const k = find(e);
    choose(k, e.clientX, e.clientY);
    if (k >= 0) pick(hits[k]);
  });
  f.root.addEventListener("keydown", e => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 }[e.key];
    if (step && hits.length) choose(current < 0 ? (step > 0 ? 0 : hits.length - 1) : (current + step + hits.length) % hits.length);
    else if (e.key === "Home" && hits.length) choose(0);
    else if (e.key === "End" && hits.length) choose(hits.length - 1);
    else if (e.key === "Enter" && current >= 0) pick(hits[current]);
    else if (e.key === "Escape") choose(-1);
    else return;
    e.preventDefault();
  });
}

const byDistance = hits => (x, y, reach) => {
  let best = -1, least = reach * reach;
  hits.forEach((hit, k) => {
    const d = (hit.x - x) ** 2 + (hit.y - y) ** 2;
    if (d < least) { least = d; best = k; }
  });
  return best;
};
const byX = hits => x => hits.reduce((best, hit, k) => best < 0 || Math.abs(hit.x - x) < Math.abs(hits[best].x - x) ? k : best, -1);

// Limits of an axis with a margin; a log axis needs positive values.
function limits(values, log, label) {
  let known = values.filter(v => v !== null && Number.isFinite(v));
  if (log && known.some(v => v > 0)) known = known.filter(v => v > 0); else log = false;
  let low = Math.min(...known), high = Math.max(...known);
  if (!known.length) { low = 0; high = 1; }
  if (low === high) { low -= Math.abs(low) * 0.05 || 0.5; high += Math.abs(high) * 0.05 || 0.5; }
  const pad = log ? (high / low) ** 0.05 : (high - low) * 0.05;
  return log ? { low: low / pad, high: high * pad, log, label } : { low: low - pad, high: high + pad, log, label };
}

// The part of an axis around the reference front: far outliers are cut off unless the whole is asked for.
function around(core, all, whole) {
  if (whole || core.length < 2) return all;
  const sorted = [...core].sort((a, b) => a - b);
  const low = sorted[0], most = sorted[Math.floor(0.9 * (sorted.length - 1))];
  const high = Math.min(sorted[sorted.length - 1], most + (most - low));
  return all.filter(v => v <= high + 0.05 * (high - low)).concat(low, high);
}

// A picture of an architecture, as `bench.report.architecture` describes it.
function drawPicture([width, height, boxes, short, labels]) {
  const lines = short.map(([x0, y0, x1, y1, cx = (x0 + x1) / 2, cy = (y0 + y1) / 2, text = "", kind = "plain"]) => [x0, y0, x1, y1, cx, cy, text, kind]);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "picture of the architecture" });
  for (const [x0, y0, x1, y1, cx, cy, , kind] of lines) {
    const g = svg("g", { class: "k-" + kind }, root), angle = Math.atan2(y1 - cy, x1 - cx);
    svg("path", { class: "series", d: `M${x0},${y0}Q${cx},${cy} ${x1},${y1}` }, g);
    const tail = turn => `${x1 - 8 * Math.cos(angle + turn)},${y1 - 8 * Math.sin(angle + turn)}`;
    svg("path", { fill: "currentColor", d: `M${x1},${y1}L${tail(0.4)}L${tail(-0.4)}Z` }, g);
  }
  for (const [x, y, w, h, , kind] of boxes)
    svg("rect", { x, y, width: w, height: h, rx: Math.min(4, h / 2), class: "k-" + kind, fill: "currentColor", "fill-opacity": 0.22, stroke: "currentColor" }, root);
  const write = (x, y, text, anchor, kind = "") => svg("text", { x, y: y + 4, "text-anchor": anchor, class: kind }, root, text);
  for (const [x0, y0, x1, y1, cx, cy, text] of lines)
    if (text) write((x0 + 2 * cx + x1) / 4, (y0 + 2 * cy + y1) / 4 - (cy === y0 ? 9 : 0), text, "middle", "halo");
  for (const [x, y, w, h, text] of boxes) if (text) write(x + w / 2, y + h / 2, text, "middle");
  for (const [x, y, text, anchor] of labels) write(x, y, text, anchor);
  return root;
}
