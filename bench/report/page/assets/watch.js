"use strict";
// The page that follows a study: it asks for the state again and again and changes what is different.
const by = id => document.getElementById(id);
const tables = new Map();

function cell(text, kind) {
  const node = document.createElement("td");
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function number(value) { return value === null ? "-" : value.toFixed(4); }

function ago(seconds) {
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

function count(n, word) { return `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`; }

function tableOf(problem) {
  if (!tables.has(problem)) {
    const title = document.createElement("h2"), box = document.createElement("div"), table = document.createElement("table");
    title.textContent = problem;
    box.className = "scroll";
    const head = table.createTHead().insertRow();
    for (const name of ["method", "done", "failed", "running", "to do", "mean regret", "progress"]) {
      const th = document.createElement("th");
      th.scope = "col";
      th.textContent = name;
      if (name === "method" || name === "progress") th.className = "left";
      head.append(th);
    }
    box.append(table);
    table.createTBody();
    by("problems").append(title, box);
    tables.set(problem, { body: table.tBodies[0], rows: new Map() });
  }
  return tables.get(problem);
}

function lineOf(table, key) {
  if (!table.rows.has(key)) {
    const line = table.body.insertRow(), bar = document.createElement("progress"), place = cell("", "left");
    line.dataset.method = key;
    place.append(bar, document.createElement("span"));
    line.append(cell("", "left"), cell(""), cell(""), cell(""), cell(""), cell(""), place);
    table.rows.set(key, line);
  }
  return table.rows.get(key);
}

function put(node, text) { if (node.textContent !== text) node.textContent = text; }

function show(state) {
  const budgets = new Set(state.rows.map(row => `${row.problem} ${row.bound}`)).size;
  const problems = new Set(state.rows.map(row => row.problem)).size;
  for (const row of state.rows) {
    const name = budgets > problems ? `${row.problem}, ${row.bound}` : row.problem;
    const [method, done, failed, running, missing, regret, progress] = lineOf(tableOf(name), row.method).cells;
    put(method, row.method);
    progress.firstChild.max = row.of || 1;
    progress.firstChild.value = row.evaluations;
    put(progress.lastChild, ` ${Math.floor(100 * row.evaluations / (row.of || 1))} %`);
    put(done, `${row.done}/${row.total}`);
    put(running, row.silent ? `${row.running} (${row.silent} silent)` : String(row.running));
    put(failed, String(row.failed));
    failed.className = row.failed ? "bad" : "";
    put(missing, String(row.missing));
    put(regret, row.regret === null ? "-" : row.measured < row.total ? `${number(row.regret)} (n=${row.measured})` : number(row.regret));
  }
  const parts = [`${state.done} of ${count(state.total, "run")} done`];
  if (state.running) parts.push(`${state.running} running`);
  if (state.failed) parts.push(`${state.failed} failed`);
  put(by("title"), `Watching ${state.watched}`);
  put(by("now"), state.total ? `${parts.join(", ")}.` : "No runs yet.");
  document.title = state.total ? `${state.done}/${state.total} done${state.failed ? `, ${state.failed} failed` : ""}` : "Watching";
  fill("failures", state.failures, f => [cell(f.method, "left"), cell(String(f.seed)), cell(f.reason, "left wrap"), cell(f.problem, "left")]);
  fill("latest", state.latest, r => [
    cell(r.method, "left"), cell(String(r.seed)), cell(number(r.regret)), cell(String(r.evaluations)), cell(ago(r.ago)), cell(r.problem, "left"),
  ]);
  report(state.report, state.done);
  trouble(state.trouble || "");
}

function fill(id, entries, line) {
  by(id).hidden = entries.length === 0;
  const rows = entries.map(entry => {
    const row = document.createElement("tr");
    row.append(...line(entry));
    return row;
  });
  by(id).querySelector("tbody").replaceChildren(...rows);
}

function report(made, done) {
  const node = by("report");
  const text = made.error ? `The report cannot be made: ${made.error}` : made.runs === null ? (done ? "The report of what is finished is being made ..." : "") : `Report of ${count(made.runs, "finished run")}`;
  if (!text || node.dataset.said === text) return;
  node.dataset.said = text;
  if (made.error || made.runs === null) { node.textContent = text; return; }
  const link = document.createElement("a");
  link.href = "report/index.html";
  link.textContent = text;
  node.replaceChildren(link, ", made anew as runs finish.");
}

function trouble(text) {
  by("trouble").hidden = !text;
  put(by("trouble"), text);
}

async function follow() {
  let wait = 1;
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    const state = await answer.json();
    wait = Math.min(Math.max(state.every, 1), 60);
    show(state);
  } catch (error) {
    trouble("No answer: has the command that serves this page ended? Trying again ...");
    wait = 3;
  }
  setTimeout(follow, 1000 * wait);
}

follow();
