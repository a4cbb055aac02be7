// The live page: shows the state that the server sends, four times a second.
//
// It knows no table by name: each comes with its columns and the kind of its panel. Everything that
// comes from outside is put in as text, never as markup. It keeps nothing but the last two minutes of
// the speed, and asks no other host.
"use strict";

const SHOWN = 20; // bars before "show all"
const SPARK = 480; // states kept for the line of the speed: two minutes
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const $ = (id) => document.getElementById(id);

function put(parent, name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Texts stand for numbers that are too large for a browser: they are shown as they are.
const shown = (value) =>
  value === null || value === undefined ? "–" : typeof value === "number" ? whole.format(value) : String(value);
const ms = (value) => (value === null || value === undefined ? "–"
  : value < 1000 ? `${value < 10 ? value : Math.round(value)} ms`
  : value < 120e3 ? `${(value / 1000).toFixed(1)} s`
  : value < 7200e3 ? `${Math.round(value / 60e3)} min` : `${Math.round(value / 3600e3)} h`);
const bytes = (value) => `${short.format(Number(value))} B`;

// Numbers run from what is shown to what is new, so that they count up instead of jumping.
const running = new Map();
function count(element, value) {
  if (typeof value !== "number") return setText(element, shown(value));
  element.dataset.value = value;
  const from = running.get(element)?.now ?? value;
  if (calm.matches || document.hidden || value < from) {
    running.set(element, { now: value });
    return setText(element, whole.format(value));
  }
  running.set(element, { now: from, from, to: value, begin: performance.now() });
  if (!count.frame) count.frame = requestAnimationFrame(step);
}
function step(time) {
  count.frame = 0;
  let more = false;
  for (const [element, run] of running) {
    if (!element.isConnected) { running.delete(element); continue; }
    if (run.to === undefined) continue;
    const part = Math.min(1, Math.max(0, time - run.begin) / 260);
    run.now = Math.round(run.from + (run.to - run.from) * part);
    setText(element, whole.format(run.now));
    if (part < 1) more = true; else run.to = undefined;
  }
  if (more) count.frame = requestAnimationFrame(step);
}

// One list of bars; `rows` are { key, rank, label, value, text, more }.
function bars(list, rows) {
  const before = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const top = calm.matches || document.hidden ? null
    : new Map([...before].map(([key, item]) => [key, item.offsetTop]));
  const most = Math.max(1, ...rows.map((row) => Number(row.value) || 0));
  rows.forEach((row, index) => {
    let item = before.get(row.key);
    before.delete(row.key);
    if (!item) {
      item = document.createElement("li");
      item.dataset.key = row.key;
      put(item, "span", "rank");
      const label = put(item, "span", "label");
      put(label, "bdi");
      put(label, "span", "more");
      put(item, "span", "value");
      put(item, "span", "fill").setAttribute("aria-hidden", "true");
    }
    const [rank, label, value, fill] = item.children;
    setText(rank, row.rank);
    if (label.dataset.text !== row.label + row.more) {
      label.dataset.text = row.label + row.more;
      setText(label.firstChild, row.label);
      setText(label.lastChild, row.more);
      label.title = row.label;
    }
    if (row.text === undefined) count(value, row.value); else setText(value, row.text);
    fill.style.setProperty("--part", Math.max(0, Number(row.value) || 0) / most);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  before.forEach((item) => item.remove());
  if (top) glide(list, top);
}
// A bar that has another place moves there.
function glide(list, top) {
  for (const item of list.children) {
    const was = top.get(item.dataset.key);
    const by = was === undefined ? 0 : was - item.offsetTop;
    if (by) item.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 300, easing: "ease-out" });
  }
}

const panels = {
  numbers(body, table) {
    const list = body.list ??= put(body, "dl", "numbers");
    const before = new Map([...list.children].map((pair) => [pair.dataset.key, pair]));
    for (const [name, value] of table.rows) {
      let pair = before.get(String(name));
      if (!pair) {
        pair = put(list, "div");
        pair.dataset.key = name;
        put(pair, "dt", "", name);
        put(pair, "dd");
      }
      before.delete(String(name));
      count(pair.lastChild, value);
    }
    before.forEach((pair) => pair.remove());
  },
  bars(body, table) {
    const list = body.list ??= put(body, "ol", "bars");
    const button = body.button ??= put(body, "button", "");
    button.type = "button";
    button.onclick ??= () => {
      body.all = !body.all;
      panels.bars(body, body.table);
    };
    body.table = table;
    const rows = body.all ? table.rows : table.rows.slice(0, SHOWN);
    const other = table.columns.map((column, index) => ({ name: column.name, index }))
      .filter(({ name, index }) => index > table.value && !name.endsWith("_id"));
    bars(list, rows.map((row) => ({
      // A ranking's key is the rank, what stands there is what the bar is of.
      key: row.slice(table.label.includes(0) ? 0 : 1, table.value).join("\u0000"),
      rank: table.label.includes(0) ? "" : String(row[0]),
      label: table.label.map((index) => row[index] ?? "").join(" + "),
      value: row[table.value],
      more: other.filter(({ index }) => row[index] !== null)
        .map(({ name, index }) => `${shown(row[index])} ${name.replace(/^nb_/, "")}`).join(", "),
    })));
    button.hidden = table.rows.length <= SHOWN;
    setText(button, body.all ? `show the first ${SHOWN}` : `show all ${table.rows.length}`);
    button.setAttribute("aria-expanded", String(Boolean(body.all)));
  },
  // A kind that this page does not know yet.
  plain(body, table) {
    body.list?.remove();
    const list = body.list = put(body, "table");
    const head = put(put(list, "thead"), "tr");
    table.columns.forEach((column) => put(head, "th", "", column.name).setAttribute("scope", "col"));
    const rows = put(list, "tbody");
    table.rows.slice(0, SHOWN).forEach((row) => {
      const line = put(rows, "tr");
      row.forEach((value) => put(put(line, "td"), "bdi", "", shown(value)));
    });
  },
};

function showTable(table) {
  let section = document.querySelector(`section[data-table="${CSS.escape(table.name)}"]`);
  if (!section) {
    section = put($("tables"), "section", table.panel === "numbers" ? "wide" : "");
    $("tables").insertBefore(section, $("job"));
    section.dataset.table = table.name;
    const title = put(section, "h2", "", table.name.replaceAll("_", " "));
    title.id = `table-${table.name}`;
    put(title, "small", "", table.comment);
    section.setAttribute("aria-labelledby", title.id);
    section.body = put(section, "div");
  }
  (panels[table.panel] ?? panels.plain)(section.body, table);
}

const speed = [];
function showSpeed(perSecond) {
  speed.push(perSecond);
  if (speed.length > SPARK) speed.shift();
  const most = Math.max(1, ...speed);
  const x = (index) => (120 * index) / Math.max(1, speed.length - 1);
  const points = speed.map((value, index) => `${x(index).toFixed(1)},${(29 - (27 * value) / most).toFixed(1)}`);
  $("spark").firstElementChild.setAttribute("points", points.join(" "));
  count($("rate"), Math.round(perSecond));
}

let most = 0; // the most that was left to read since the job was caught up
function showStatus(kind, text, lag) {
  $("status").dataset.kind = kind;
  setText($("status"), text);
  most = kind === "behind" ? Math.max(most, lag) : 0;
  $("progress").hidden = kind !== "behind";
  if (most) $("progress").value = 1 - lag / most;
}

function show(state) {
  document.documentElement.dataset.state = "connected";
  document.title = `${state.job} – tweetflow`;
  setText($("about"), `${state.job}: ${state.topic} → ${state.database}`);
  showStatus(state.status.kind, state.status.text, Number(state.lag));
  const since = new Date(state.started_ms).toLocaleString("en-GB");
  const asOf = state.commits.as_of_ms ? new Date(state.commits.as_of_ms).toLocaleTimeString("en-GB") : "–";
  setText($("since"), `running since ${since}, commit ${whole.format(state.commits.commit_no)}, as of ${asOf}`);
  showSpeed(state.records.per_second);
  count($("records-total"), state.records.total);
  setText($("commits"), `in ${whole.format(state.commits.count)} commits`);
  setText($("freshness"), ms(state.freshness.p50_ms));
  setText($("freshness-more"), `p99 ${ms(state.freshness.p99_ms)}`);
  setText($("commit"), ms(state.commits.p50_ms));
  setText($("commit-more"), `p99 ${ms(state.commits.p99_ms)}, ${whole.format(state.commits.last_rows)} rows in the last`);
  const amount = state.lag_unit === "bytes" ? bytes : shown;
  setText($("lag"), amount(state.lag));
  setText($("lag-more"), `${state.lag_unit} in ${state.partitions.length} partitions`);
  state.tables.forEach(showTable);
  bars($("partitions"), state.partitions.map((part) => ({
    key: String(part.partition), rank: part.file ? "" : String(part.partition), more: "",
    label: `${part.file ?? ""} at ${shown(part.next)}`.trim(), value: part.lag ?? 0,
    text: part.lag === null ? "end not known" : `${amount(part.lag)} left`,
  })));
  showCluster(state.cluster);
  showLedger(state.ledger);
  $("letters-none").hidden = state.dead_letters.total > 0;
  bars($("letters"), state.dead_letters.reasons.map((one) => ({
    key: one.reason, rank: "", label: one.reason, value: one.count, more: "",
  })));
}

function showLedger(ledger) {
  $("ledger").hidden = !ledger;
  if (!ledger) return;
  const since = ledger.floor_ms === null ? "the first" : new Date(Number(ledger.floor_ms)).toLocaleString("en-GB");
  setText($("ledger-kept"), `${shown(ledger.entries)} tweets since ${since}, ${bytes(ledger.bytes)}`);
  const late = ledger.late_posts + ledger.late_deletes + ledger.late_edits;
  setText($("ledger-done"), `${shown(ledger.deleted)} deleted, ${shown(ledger.superseded)} edited, ${shown(ledger.duplicates)} came twice, ${shown(late)} too late`);
}

const HEARD = 2000; // within so long, as each second, a process is heard of all the time
function showCluster(cluster) {
  $("cluster").hidden = !cluster;
  if (!cluster) return;
  setText($("cluster-role"), `this is process ${cluster.process}${cluster.role === "lead" ? ", which commits" : ""}`);
  const list = $("processes");
  cluster.processes.forEach((process, index) => {
    let row = list.children[index];
    if (!row) {
      row = put(list, "tr");
      put(row, "th", "", String(index)).setAttribute("scope", "row");
      for (const kind of ["", "", "number", "number", "number", "number"]) put(row, "td", kind);
    }
    const [, address, partitions, records, heard, sent, received] = row.children;
    const own = index === cluster.process;
    row.classList.toggle("late", !own && process.silent_ms >= HEARD);
    setText(address, process.address);
    setText(partitions, process.partitions.join(", ") || "none");
    count(records, process.records);
    setText(heard, own ? "this one" : process.silent_ms < HEARD ? "just now" : `${ms(process.silent_ms)} ago`);
    setText(sent, own ? "" : bytes(process.sent_bytes));
    setText(received, own ? "" : bytes(process.received_bytes));
  });
}

// The browser tries again by itself after most faults; where it has given up, this does.
function connect() {
  const events = new EventSource("api/v1/events");
  events.addEventListener("state", (event) => show(JSON.parse(event.data)));
  events.onerror = () => {
    document.documentElement.dataset.state = "disconnected";
    showStatus("disconnected", "disconnected, trying again", 0);
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
}
connect();
