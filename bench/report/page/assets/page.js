// The page: methods shown or hidden, tables sorted, charts drawn from the data at the end of the document.
const DATA = JSON.parse(document.getElementById("data").textContent);
const off = new Set();
const filter = document.getElementById("filter");
const redraws = [];
const shown = m => !off.has(m) && DATA.methods[m].toLowerCase().includes(filter.value.trim().toLowerCase());
const unit = o => o.unit ? `${o.name} (${o.unit})` : o.name;

const tip = {
  node: document.getElementById("tip"),
  show(content, x, y) {
    this.node.replaceChildren(content);
    this.node.hidden = false;
    const box = this.node.getBoundingClientRect(), room = document.documentElement.clientWidth;
    const left = x + 14 + box.width < room ? x + 14 : Math.max(8, Math.min(x - box.width / 2, room - box.width - 8));
    const top = y + 18 + box.height < window.innerHeight ? y + 18 : Math.max(4, y - box.height - 14);
    this.node.style.left = `${left}px`;
    this.node.style.top = `${top}px`;
  },
  hide() { this.node.hidden = true; },
};

function sample(m, line) {
  const { colour, mark: kind, dash } = look(m), root = svg("svg", { width: line ? 30 : 14, height: 14, class: colour, "aria-hidden": true });
  if (line) svg("path", { class: "series curve", d: "M0,7H30", "stroke-dasharray": dash }, root);
  svg("path", { class: "series", d: mark(kind, line ? 15 : 7, 7, 4) }, root);
  return root;
}

// --- methods

function refresh() {
  DATA.methods.forEach((_, m) => {
    const button = document.querySelector(`#methods button[data-m="${m}"]`);
    button.setAttribute("aria-pressed", String(!off.has(m)));
    button.hidden = !DATA.methods[m].toLowerCase().includes(filter.value.trim().toLowerCase());
  });
  for (const row of document.querySelectorAll("tr[data-m]")) {
    const at = row.closest("section").querySelector("select.at");
    row.hidden = !shown(Number(row.dataset.m)) || (at && row.dataset.at && at.value && row.dataset.at !== at.value);
  }
  redraws.forEach(draw => draw());
}

DATA.methods.forEach((name, m) => {
  const button = html("button", { type: "button", "data-m": m, "aria-pressed": "true", title: name }, sample(m, true), name);
  button.addEventListener("click", () => { if (!off.delete(m)) off.add(m); refresh(); });
  document.getElementById("methods").append(button);
});
filter.addEventListener("input", refresh);
for (const select of document.querySelectorAll("select.at")) select.addEventListener("change", refresh);

const theme = document.getElementById("theme");
theme.addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" }[theme.textContent];
  theme.textContent = next;
  theme.setAttribute("aria-label", `Colours: ${next === "auto" ? "automatic" : next}`);
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
});

// --- tables

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, j) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[j].dataset.v;
    const rows = [...body.rows].sort((a, b) => {
      const [u, v] = [key(a), key(b)];
      if (u === undefined && v === undefined) return sign * a.cells[j].textContent.localeCompare(b.cells[j].textContent);
      if (u === "" || v === "") return (u === "") - (v === "");  // what has no value comes last either way
      return sign * (Number(u) - Number(v));
    });
    body.append(...rows);
  }));
}

// --- charts

function tipTable(title, rows) {
  const table = html("table", {});
  for (const [m, ...cells] of rows)
    table.append(html("tr", {}, html("td", {}, m === null ? "" : sample(m, false)), ...cells.map((c, k) => html("td", k ? {} : { class: "name" }, c))));
  return html("div", {}, html("strong", {}, title), table);
}

function frontChart(problem, figure) {
  const box = figure.querySelector(".chart"), panel = figure.querySelector(".arch");
  const control = name => figure.querySelector(`[data-c="${name}"]`);
  const n = problem.objectives.length, reference = problem.reference;
  const quantities = problem.objectives.concat(problem.tested);

  const draw = () => {
    const a = Number(control("x")?.value ?? n - 1), b = n > 1 ? Number(control("y")?.value ?? 0) : 0;
    const seed = control("seed").value, whole = control("whole").checked;
    const fronts = problem.fronts.filter(f => shown(f.m) && (seed === "" || f.seed === Number(seed)));
    const points = fronts.flatMap(f => f.p);
    const axis = (j, log) => {
      const every = points.map(p => p[1 + j]).concat(reference ? reference.points.map(p => p[j]) : []);
      const core = reference && reference.points.length > 1 ? reference.points.map(p => p[j]) : points.map(p => p[1 + j]);
      return limits(around(core, every, whole), log, unit(problem.objectives[j]));
    };
    const x = n > 1 ? axis(a, control("logx").checked) : limits(fronts.map(f => f.seed), false, "seed"), y = axis(b, control("logy").checked);
    const f = frame(box, x, y);
    f.root.setAttribute("aria-label", `Fronts on ${problem.title}: arrow keys go through the points, Enter shows the architecture`);
    const place = (px, py) => (x.log && px <= 0) || (y.log && py <= 0) ? null : [f.x(px), f.y(py)];
    for (const cloud of problem.evaluated.filter(c => n > 1 && shown(c.m) && (seed === "" || c.seed === Number(seed)))) {
      let d = "";
      for (let k = 0; k < cloud.p.length; k += n) {
        const at = place(cloud.p[k + a], cloud.p[k + b]);
        if (at && f.inside(...at)) d += `M${at[0].toFixed(1)},${at[1].toFixed(1)}h0`;
      }
      svg("path", { class: "series cloud", d }, svg("g", { class: look(cloud.m).colour }, f.plot));
    }
    const staircase = list => {
      let d = "", before = null;
      for (const [px, py] of list.map(p => place(...p)).filter(p => p).sort((p, q) => p[0] - q[0] || q[1] - p[1])) {
        d += before ? `H${px.toFixed(1)}V${py.toFixed(1)}` : `M${px.toFixed(1)},${py.toFixed(1)}`;
        before = py;
      }
      return d;
    };
    if (reference) {
      const g = svg("g", { class: "reference" }, f.plot), pairs = reference.points.map(p => n > 1 ? [p[a], p[b]] : [x.low, p[0]]);
      if (n === 2) svg("path", { class: "series", d: staircase(pairs) }, g);
      if (n === 1) svg("path", { class: "series", d: `M${f.m.left},${f.y(pairs[0][1])}H${f.right}` }, g);
      else svg("path", { class: "series", d: pairs.map(p => place(...p)).filter(p => p && f.inside(...p)).map(p => mark("circle", ...p, 2)).join("") }, g);
    }
    const hits = [], paths = new Map();
    let outside = 0;
    for (const front of fronts) {
      const { mark: kind } = look(front.m);
      for (const p of front.p) {
        const at = n > 1 ? place(p[1 + a], p[1 + b]) : place(front.seed, p[1]);
        if (!at || !f.inside(...at)) { outside++; continue; }
        paths.set(front.m, (paths.get(front.m) ?? "") + mark(kind, Number(at[0].toFixed(1)), Number(at[1].toFixed(1)), 3.6));
        hits.push({ x: at[0], y: at[1], front, p, show: () => tipTable(problem.archs[p[0]], [[front.m, DATA.methods[front.m], `seed ${front.seed}`], ...quantities.map((o, j) => [null, unit(o), number(p[1 + j])])]) });
      }
      if (n === 2 && seed !== "") svg("path", { class: "series", d: staircase(front.p.map(p => [p[1 + a], p[1 + b]])), "stroke-dasharray": look(front.m).dash }, svg("g", { class: look(front.m).colour }, f.plot));
    }
    for (const [m, d] of paths) svg("path", { class: "series points", d }, svg("g", { class: look(m).colour }, f.plot));
    if (outside) svg("text", { x: f.right, y: 14, "text-anchor": "end" }, f.root, `${outside} ${outside === 1 ? "point" : "points"} outside`);
    hits.sort((p, q) => p.x - q.x || p.y - q.y);
    interact(f, hits, tip, pick, byDistance(hits));
    box.replaceChildren(f.root);
  };

  const pick = ({ front, p }) => {
    const name = problem.archs[p[0]], drawn = problem.pictures[p[0]];
    const list = html("p", {}, html("code", {}, name), html("br"), `${DATA.methods[front.m]}, seed ${front.seed}: `, quantities.map((o, j) => `${o.name} ${number(p[1 + j])} ${o.unit}`.trim()).concat(problem.remarks.slice(p[0], p[0] + 1)).join(", "));
    const quoted = `'${name.replace(/'/g, "'\\''")}'`;
    const command = html("p", { class: "soft" }, html("code", {}, `${DATA.program} show ${quoted} --space ${problem.space} --out arch.pdf`));
    panel.replaceChildren(list, ...(drawn ? [html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "picture" }, drawPicture(drawn))] : []), command);
  };
  for (const input of figure.querySelectorAll("[data-c]")) input.addEventListener("change", draw);
  return draw;
}

// Seconds of the unit in which times up to `end` are shown, and its name.
function timeUnit(end) {
  return [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => end >= 2 * size) ?? [1, "s"];
}

// Curves against evaluations or training time: mean regret with its intervals, or shares of targets (`share`), of which more is better.
function curveChart(problem, figure) {
  const box = figure.querySelector(".chart"), control = name => figure.querySelector(`[data-c="${name}"]`);
  const timed = problem.unit !== "evaluations", [second, name] = timed ? timeUnit(problem.budget) : [1, ""];
  const times = problem.at.map(at => at / second);
  const draw = () => {
    const curves = problem.curves.filter(c => shown(c.m)), bands = control("bands")?.checked;
    const means = curves.flatMap(c => c.mean).filter(v => v !== null), log = control("logy")?.checked;
    const widest = log ? [Math.min(...means.filter(v => v > 0)) / 3, Math.max(...means) * 2] : [-Infinity, Infinity];  // else one wide interval flattens all curves
    const used = bands ? means.concat(curves.flatMap(c => c.low.concat(c.high)).filter(v => v !== null).map(v => Math.min(Math.max(v, widest[0]), widest[1]))) : means;
    const x = { low: times[0], high: problem.budget / second, log: control("logx").checked, label: timed ? `training time (${name})` : "evaluations" };
    if (x.low === x.high) x.low = 0, x.log = false;
    const y = limits(used, log, problem.share ? "share of targets reached" : "mean hypervolume regret");
    const f = frame(box, x, y), cut = v => y.log ? Math.max(v, y.low) : v;
    f.root.setAttribute("aria-label", `${problem.share ? "Targets" : "Regret"} on ${problem.title}: arrow keys go through the ${timed ? "times" : "evaluations"}`);
    const line = list => list.map((v, k) => v === null ? "" : `${k ? "L" : "M"}${f.x(times[k]).toFixed(1)},${f.y(cut(v)).toFixed(1)}`).join("");
    for (const c of curves) {
      const { colour, dash, mark: kind } = look(c.m), g = svg("g", { class: colour }, f.plot);
      if (bands && c.low.every(v => v !== null)) {
        const back = c.high.map((v, k) => `L${f.x(times[k]).toFixed(1)},${f.y(cut(v)).toFixed(1)}`).reverse().join("");
        svg("path", { class: "band", d: line(c.low) + back + "Z" }, g);
      }
      svg("path", { class: "series curve", d: line(c.mean), "stroke-dasharray": dash }, g);
      for (let k = 8 + c.m % 4; k < problem.at.length; k += 12) svg("path", { class: "series", d: mark(kind, f.x(times[k]), f.y(cut(c.mean[k])), 4) }, g);
    }
    const guide = svg("line", { class: "guide", y1: f.m.top, y2: f.bottom, visibility: "hidden" }, f.root);
    const hits = times.map((at, k) => ({
      x: f.x(at), y: curves.length ? f.y(cut(Math.min(...curves.map(c => c.mean[k])))) : f.bottom,
      show() {
        for (const [key, v] of [["x1", this.x], ["x2", this.x], ["visibility", "visible"]]) guide.setAttribute(key, v);
        const order = [...curves].sort((p, q) => (problem.share ? -1 : 1) * (p.mean[k] - q.mean[k])), rest = order.length - 12;
        const rows = order.slice(0, 12).map(c => [c.m, DATA.methods[c.m], number(c.mean[k]), (c.low?.[k] ?? null) === null ? "" : `[${number(c.low[k])}, ${number(c.high[k])}]`]);
        return tipTable(timed ? `${number(at)} ${name} of training` : `${at} evaluations`, rest > 0 ? [...rows, [null, `and ${rest} more`]] : rows);
      },
    }));
    f.root.addEventListener("pointerleave", () => guide.setAttribute("visibility", "hidden"));
    interact(f, hits, tip, () => {}, byX(hits));
    box.replaceChildren(f.root);
  };
  for (const input of figure.querySelectorAll("[data-c]")) input.addEventListener("change", draw);
  return draw;
}

DATA.problems.forEach((problem, k) => {
  for (const [kind, make, drawn] of [["fronts", frontChart, problem], ["curves", curveChart, problem], ["timed", curveChart, problem.timed]]) {
    const figure = document.querySelector(`figure[data-problem="${k}"][data-kind="${kind}"]`);
    if (figure) redraws.push(make(drawn, figure));
  }
});
for (const figure of document.querySelectorAll("figure[data-reach]")) redraws.push(curveChart(DATA.reaches[figure.dataset.reach], figure));
let width = 0;
new ResizeObserver(() => {
  if (document.documentElement.clientWidth === width) return;
  width = document.documentElement.clientWidth;
  refresh();
}).observe(document.documentElement);
window.addEventListener("scroll", () => tip.hide(), { passive: true });

// --- on paper everything is open
const opened = [];
window.addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("details:not([open])")) { node.open = true; opened.push(node); }
});
window.addEventListener("afterprint", () => { while (opened.length) opened.pop().open = false; });
