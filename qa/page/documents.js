// Runs once, as the body of a function (element, trigger, props, server, upload, watch) of the documents' gr.HTML: files
// are dropped and followed until they are indexed, and the list of all is searched, chosen from and kept in order.
// Whatever comes from a file or a name is put in as text, never as HTML.

const PAGE = 50; // rows of one request
const EVERY = 700; // between two looks at a job
const LATER = 3000; // after the server could not be reached
const TYPING = 250; // after the last key before it is searched
const SHOWN = 200; // files of a job in view; those that went wrong come first, then those beside an older one
const QUIET = 1000; // without a word of a file that is dragged it has gone
const LINGER = 4000; // that nothing can be added is said so long
const AT_ONCE = 200; // documents named in one request
const STATES = {
  waiting: "Waiting", reading: "Reading", indexed: "Added", unchanged: "Already there",
  failed: "Could not be read", skipped: "Left out", stopped: "Stopped", replaced: "Replaced",
};
const AGAIN = { indexed: "Read again", unchanged: "Read again, nothing has changed" }; // of files that were in the list
const CLOSED = "Nothing can be added here: this server is read-only.";
const STAGES = {
  waiting: "waiting", reading: "reading", encoding: "encoding", finishing: "saving",
  busy: "waiting for another process that writes to the library", done: "done",
};

element.innerHTML = `
<section class="rd-documents" aria-labelledby="rd-documents-title">
  <h2 id="rd-documents-title" tabindex="-1">Documents</h2>
  <p class="rd-lead" data-part="count"></p>
  <div data-part="adding" hidden>
    <label class="rd-drop"><input type="file" class="rd-hidden" multiple>
      <b>Choose files</b><span>or drop them here</span>
      <small>PDF, Word, Excel, HTML, Markdown, text, or a ZIP of them, up to <span data-part="largest"></span></small></label>
    <p class="rd-failure" role="alert" data-part="notice"></p>
    <section class="rd-job" data-part="job" aria-label="Files being added" hidden>
      <p class="rd-far" data-part="far"></p>
      <progress class="rd-progress" max="1" data-part="bar" aria-label="Files done"></progress>
      <p class="rd-actions"><button type="button" class="rd-button" data-doc="stop">Stop</button>
        <button type="button" class="rd-button" data-doc="replace-all" hidden></button>
        <button type="button" class="rd-button" data-doc="close" hidden>Close this list</button></p>
      <ul class="rd-outcomes" data-part="outcomes"></ul>
    </section>
  </div>
  <div class="rd-tools" role="search">
    <input type="search" data-part="search" placeholder="Search titles and paths" aria-label="Search documents">
    <select data-part="state" aria-label="Show">
      <option value="">All</option><option value="indexed">Can be asked</option>
      <option value="failed">Could not be read</option><option value="warnings">With warnings</option>
      <option value="uploaded">Added here</option></select>
    <select data-part="sort" aria-label="Sort by">
      <option value="source">By path</option><option value="title">By title</option>
      <option value="-date">Newest first</option><option value="-size">Largest first</option>
      <option value="-pages">Most pages first</option><option value="-passages">Most passages first</option></select>
    <p class="rd-chosen" data-part="chosen" hidden>
      <button type="button" class="rd-button rd-chief" data-doc="ask"></button>
      <button type="button" class="rd-button" data-doc="reindex" data-changes>Index again</button>
      <button type="button" class="rd-button" data-doc="remove" data-changes>Remove</button>
      <button type="button" class="rd-button" data-doc="none">Clear selection</button></p>
    <p class="rd-said" data-part="said" hidden></p>
  </div>
  <details class="rd-folders" data-part="folders" hidden><summary>Folders</summary><ul></ul></details>
  <p class="rd-within" data-part="within" hidden>In <bdi></bdi>
    <button type="button" class="rd-button" data-doc="all-folders">All folders</button></p>
  <div data-part="asked"></div>
  <table class="rd-list" data-part="table" hidden>
    <caption class="rd-hidden">Documents</caption>
    <thead><tr><th scope="col"><label><input type="checkbox" data-part="all"><span>Choose all shown</span></label></th>
      <th scope="col">Document</th>
      <th scope="col">Kind</th><th scope="col">Pages</th><th scope="col">Passages</th><th scope="col">Size</th>
      <th scope="col">Indexed</th><th scope="col"><span class="rd-hidden">Actions</span></th></tr></thead>
    <tbody></tbody></table>
  <p class="rd-quiet rd-rest" data-part="empty" hidden></p>
  <p class="rd-actions"><button type="button" class="rd-button" data-doc="more" hidden>Show more</button></p>
</section>`;

const part = (name) => element.querySelector(`[data-part="${name}"]`);
const button = (name) => element.querySelector(`[data-doc="${name}"]`);
const body = part("table").querySelector("tbody");
const input = element.querySelector("[type=file]");
const isOpen = () => refdesk.view === "documents";

let rows = new Map(); // what is in view, by id
let chosen = new Map(); // rows that are chosen, in view or not, by id
let within = new Map(); // folders that are chosen, by path: how many files
let folder = ""; // the one that is looked into
let readOnly = true;
let largest = 0; // bytes of a file, as the server wants it
let suffixes = []; // of what it takes
let asked = 0; // numbers the requests for the list, so that only the last one's answer is shown

// Elements

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function act(name, text, label) {
  const made = make("button", "rd-button", text);
  made.type = "button";
  made.dataset.doc = name;
  if (label) made.setAttribute("aria-label", label);
  return made;
}

function tell(line) {
  part("notice").textContent = line;
}

// What was done, above the list, where it stays in sight.
function note(...content) {
  part("said").replaceChildren(...content);
  part("said").hidden = !content.length;
  if (content.length) refdesk.announce(part("said").textContent);
}

const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

function size(bytes) {
  const steps = ["bytes", "kB", "MB", "GB"];
  let step = 0;
  while (bytes >= 999.5 && step < 3) {
    bytes /= 1000;
    step += 1;
  }
  return `${bytes < 9.95 && step ? bytes.toFixed(1) : Math.round(bytes)} ${steps[step]}`;
}

// The list

function rowOf(doc) {
  const row = make("tr");
  row.dataset.id = doc.id;
  const choose = make("input");
  choose.type = "checkbox";
  choose.checked = chosen.has(doc.id);
  choose.disabled = doc.state !== "indexed" && readOnly;
  choose.setAttribute("aria-label", `Choose ${doc.path}`);
  const first = make("td");
  first.append(choose);
  const name = make("th");
  name.scope = "row";
  name.append(titled("rd-doc-title", doc.title, doc.document));
  if (doc.path !== doc.title) name.append(make("bdi", "rd-place", doc.path));
  if (doc.reason) name.append(make("span", doc.state === "failed" ? "rd-failure" : "rd-warning", doc.reason));
  for (const warning of doc.warnings) name.append(make("span", "rd-warning", warning));
  const failed = doc.state === "failed";
  const date = make("time", "", doc.date.slice(0, 10));
  date.dateTime = doc.date;
  date.title = new Date(doc.date).toLocaleString();
  const facts = [
    ["kind", doc.kind], ["pages", doc.pages ? counted(doc.pages, "page") : ""],
    ["passages", failed ? "" : counted(doc.passages, "passage")], ["size", size(doc.bytes)], ["date", date],
  ].map(([what, value]) => {
    const cell = make("td", `rd-${what}`);
    if (typeof value === "string") {
      const [number, noun] = value.split(" ");
      cell.append(number);
      if (noun) cell.append(make("span", what === "size" ? "" : "rd-noun", ` ${noun}`));
    } else cell.append(value);
    return cell;
  });
  const last = make("td", "rd-last");
  last.append(menuOf(doc));
  row.append(first, name, ...facts, last);
  return row;
}

// A title or name opens its document, as a citation of nothing at its beginning.
function titled(className, text, opened) {
  const title = make(opened ? "a" : "span", className);
  if (opened) {
    title.dataset.cite = `${opened}.0.0`;
    title.href = `#cite-${title.dataset.cite}`;
  }
  title.append(make("bdi", "", text));
  return title;
}

function menuOf(doc) {
  const menu = make("details", "rd-doc-menu");
  const summary = make("summary", "", "⋯");
  summary.setAttribute("aria-label", `Actions for ${doc.path}`);
  const list = make("div");
  if (doc.state === "indexed") list.append(act("ask-one", "Ask only this"));
  if (!readOnly) {
    list.append(act("reindex-one", "Index again"));
    if (doc.uploaded) list.append(act("rename", "Rename"));
    list.append(act("remove-one", "Remove"));
  }
  if (!list.children.length) return make("span");
  menu.append(summary, list);
  return menu;
}

async function load({ more = false, keep = false } = {}) {
  const number = (asked += 1);
  const query = new URLSearchParams({
    q: part("search").value, state: part("state").value, sort: part("sort").value, folder,
    offset: more ? rows.size : 0, limit: keep ? Math.min(500, Math.max(PAGE, rows.size)) : PAGE,
  });
  let found;
  try {
    found = await refdesk.api(`documents?${query}`);
  } catch (error) {
    if (number === asked) say(error.message, true);
    return;
  }
  if (number !== asked) return;
  if (readOnly !== found.read_only) setReadOnly(found.read_only);
  largest = found.largest;
  suffixes = found.suffixes;
  input.accept = suffixes.join(",");
  part("largest").textContent = size(largest);
  if (!more) rows = new Map();
  const fresh = document.createDocumentFragment();
  let added = null;
  for (const doc of found.documents) {
    if (rows.has(doc.id)) continue;
    rows.set(doc.id, doc);
    if (chosen.has(doc.id)) chosen.set(doc.id, doc);
    const row = rowOf(doc);
    added ??= row;
    fresh.append(row);
  }
  if (more) body.append(fresh);
  else body.replaceChildren(fresh);
  showCount(found);
  showFolders(found.folders);
  showChosen();
  const missing = found.total - rows.size;
  button("more").hidden = missing <= 0;
  button("more").textContent = `Show more (${missing.toLocaleString("en")})`;
  part("table").hidden = !rows.size;
  const narrowed = part("search").value.trim() || part("state").value || folder;
  if (rows.size) say("");
  else if (narrowed) say("Nothing here fits. Search for other words, or show all.");
  else say(readOnly ? "The library is empty." : "Nothing yet: choose or drop files above, and ask them a moment later.");
  if (more) added?.querySelector("input").focus();
}

function say(line, wrong = false) {
  const empty = part("empty");
  empty.textContent = line;
  empty.hidden = !line;
  empty.classList.toggle("rd-failure", wrong);
}

function showCount({ all, failed }) {
  const wrong = failed ? `, ${failed.toLocaleString("en")} of them could not be read` : "";
  part("count").textContent = all ? `${counted(all, "file")}${wrong}.` : "";
}

function setReadOnly(on) {
  readOnly = on;
  part("adding").hidden = on;
  for (const one of element.querySelectorAll("[data-changes]")) one.hidden = on;
}

function showFolders(folders) {
  const there = new Set(folders.map((one) => one.folder));
  for (const path of within.keys()) if (!there.has(path)) within.delete(path);
  part("folders").hidden = !folders.length;
  part("within").hidden = !folder;
  part("within").querySelector("bdi").textContent = folders.find((one) => one.folder === folder)?.path || folder;
  part("folders").querySelector("summary").textContent = `Folders (${folders.length.toLocaleString("en")})`;
  const list = part("folders").querySelector("ul");
  const held = list.contains(document.activeElement) ? document.activeElement.dataset.folder : null;
  list.replaceChildren(...folders.map((one) => {
    const item = make("li");
    item.style.paddingInlineStart = `${Math.min(one.depth, 8) * 1.25}rem`;
    const choose = make("input");
    choose.type = "checkbox";
    choose.checked = within.has(one.folder);
    choose.dataset.folder = one.folder;
    choose.dataset.files = one.files;
    choose.setAttribute("aria-label", `Choose folder ${one.path}`);
    const look = make("button", "rd-folder");
    look.type = "button";
    look.dataset.doc = "folder";
    look.dataset.folder = one.folder;
    look.setAttribute("aria-current", String(one.folder === folder));
    look.append(make("bdi", "", one.name), make("small", "", ` ${one.files.toLocaleString("en")}`));
    item.append(choose, look);
    return item;
  }));
  if (held !== null) list.querySelector(`[data-folder="${CSS.escape(held)}"]`)?.focus();
}

// What is chosen

const askable = () => [...chosen.values()].filter((doc) => doc.state === "indexed");

function showChosen() {
  const many = askable().length + within.size;
  part("chosen").hidden = !(chosen.size || within.size);
  button("ask").hidden = !many;
  button("ask").textContent = `Ask only these (${many.toLocaleString("en")})`;
  for (const name of ["reindex", "remove"]) button(name).hidden = readOnly || !chosen.size;
  const boxes = choosable();
  const on = boxes.filter((box) => box.checked).length;
  part("all").disabled = !boxes.length;
  part("all").checked = on > 0 && on === boxes.length;
  part("all").indeterminate = on > 0 && on < boxes.length;
}

const choosable = () => [...body.querySelectorAll("tr[data-id] [type=checkbox]:enabled")];

function choose(box) {
  if (box === part("all")) for (const one of choosable()) chooseRow(one, box.checked);
  else if (box.closest("tr")) chooseRow(box, box.checked);
  else if (box.checked) within.set(box.dataset.folder, Number(box.dataset.files));
  else within.delete(box.dataset.folder);
  showChosen();
}

function chooseRow(box, on) {
  const { id } = box.closest("tr").dataset;
  box.checked = on;
  if (on) chosen.set(id, rows.get(id));
  else chosen.delete(id);
}

function chooseNone() {
  chosen = new Map();
  within = new Map();
  for (const box of element.querySelectorAll("[type=checkbox]")) box.checked = false;
  showChosen();
}

// Characters that a glob would read, in brackets of their own.
const literally = (path) => path.replace(/[[*?]/g, "[$&]");

function askOnly(documents, folders = []) {
  refdesk.setScope({ sources: [...documents.map((doc) => doc.source), ...folders.map((path) => `${literally(path)}/*`)] });
  refdesk.show("chat");
  document.querySelector("#rd-ask textarea")?.focus();
}

// Changes. What has to be asked or said stands below the row that it is about, or above the list for several.

function under(id, ...content) {
  for (const old of element.querySelectorAll("[data-part=asked] > *, .rd-asking")) old.remove();
  const box = make("form", "rd-question-line");
  box.append(...content);
  const row = id && body.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  if (row) {
    const line = make("tr", "rd-asking");
    const cell = make("td");
    cell.colSpan = 8;
    cell.append(box);
    line.append(cell);
    row.after(line);
  } else part("asked").replaceChildren(box);
  const wrong = make("p", "rd-failure");
  wrong.setAttribute("role", "alert");
  box.append(wrong);
  const cancel = () => {
    (box.closest("tr") || box).remove();
    (row ? row.querySelector("summary, input") : part("search"))?.focus();
  };
  box.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), cancel()));
  box.querySelector("[data-cancel]")?.addEventListener("click", cancel);
  return { box, done: () => (box.closest("tr") || box).remove(), wrong: (error) => (wrong.textContent = error.message) };
}

function buttons(yes) {
  const sure = make("button", "rd-button rd-chief", yes);
  sure.type = "submit";
  const cancel = make("button", "rd-button", "Cancel");
  cancel.type = "button";
  cancel.dataset.cancel = "";
  return [sure, cancel];
}

function inParts(documents) {
  const all = [];
  for (let at = 0; at < documents.length; at += AT_ONCE) all.push(documents.slice(at, at + AT_ONCE));
  return all.map((some) => new URLSearchParams(some.map((doc) => ["id", doc.id])));
}

function remove(documents, id) {
  const uploaded = documents.filter((doc) => doc.uploaded).length;
  const [doc] = documents;
  const words = make("p");
  words.append("Remove ", documents.length === 1 ? make("bdi", "", doc.path) : counted(documents.length, "document"), "? ");
  const deleted = uploaded === 1 && documents.length === 1 ? "The file is deleted." : `${counted(uploaded, "file")} added here ${uploaded === 1 ? "is" : "are"} deleted.`;
  const kept = documents.length === 1
    ? "Its file stays where it is, and the next “refdesk index” of its folder brings it back."
    : "Files of folders stay where they are, and the next “refdesk index” of them brings them back.";
  words.append([uploaded ? deleted : "", uploaded < documents.length ? kept : ""].join(" "));
  const [sure, cancel] = buttons("Remove");
  const line = under(id, words, sure, cancel);
  sure.focus();
  line.box.addEventListener("submit", async (event) => {
    event.preventDefault();
    sure.disabled = true;
    try {
      for (const query of inParts(documents)) await refdesk.api(`documents?${query}`, { method: "DELETE" });
    } catch (error) {
      line.wrong(error);
      sure.disabled = false;
      return;
    }
    for (const one of documents) chosen.delete(one.id);
    line.done();
    await changed();
    note("Removed ", documents.length === 1 ? make("bdi", "", doc.path) : counted(documents.length, "document"), ".");
    (body.querySelector("input") || part("search")).focus();
  });
}

function rename(doc) {
  const name = make("input");
  name.value = doc.name;
  name.maxLength = 180;
  name.setAttribute("aria-label", "New name");
  const [sure, cancel] = buttons("Rename");
  const line = under(doc.id, name, sure, cancel);
  name.focus();
  name.setSelectionRange(0, Math.max(0, doc.name.lastIndexOf(".")));
  line.box.addEventListener("submit", async (event) => {
    event.preventDefault();
    sure.disabled = true;
    let renamed;
    try {
      const query = new URLSearchParams({ id: doc.id });
      renamed = (await refdesk.api(`documents?${query}`, { method: "PATCH", json: { name: name.value } })).source;
    } catch (error) {
      line.wrong(error);
      sure.disabled = false;
      return;
    }
    chosen.delete(doc.id);
    line.done();
    await changed();
    const now = [...rows.values()].find((one) => one.source === renamed);
    const gone = !now && part("search").value.trim() && button("more").hidden;
    note("Renamed to ", make("bdi", "", now?.path || renamed), gone ? ", which the search does not find." : ".");
    (now ? body.querySelector(`tr[data-id="${CSS.escape(now.id)}"] summary`) : part("search")).focus();
  });
}

async function reindex(documents) {
  if (!isRunning()) closeList();
  try {
    for (const query of inParts(documents)) follow(await refdesk.api(`documents/reindex?${query}`, { method: "POST", body: "" }));
    part("far").scrollIntoView({ block: "center" });
  } catch (error) {
    tell(error.message);
  }
}

// The rest of the page says how many documents there are.
async function changed() {
  document.dispatchEvent(new CustomEvent("refdesk:library"));
  if (isOpen()) await load({ keep: true });
}

// Jobs: those that are followed by id, with their files as the server last said

const jobs = new Map();
let timer = null;
let flying = null; // the request that sends a file
let sent = 0; // how much of it, 0 to 1

function follow(state) {
  keep(state);
  showJobs();
  clearTimeout(timer);
  if (isRunning()) timer = setTimeout(look, EVERY);
}

function keep(state) {
  const files = jobs.get(state.id)?.files || [];
  for (const file of state.files) files[file.number] = { ...file, job: state.id };
  jobs.set(state.id, { ...state, files });
}

const toSend = () => waiting.length + (flying ? 1 : 0);
const isRunning = () => toSend() > 0 || [...jobs.values()].some((job) => job.state === "running");

async function look() {
  let wait = EVERY;
  for (const [id, job] of jobs) {
    if (job.state !== "running") continue;
    try {
      const now = await refdesk.api(`jobs/${id}?since=${job.revision}`);
      if (now.done > job.done) shouldLoad = true;
      keep(now);
    } catch (error) {
      if (error.message.startsWith("Nobody")) wait = LATER;
      else jobs.delete(id);
    }
  }
  showJobs();
  clearTimeout(timer);
  if (isRunning()) timer = setTimeout(look, wait);
  await loadSometimes();
}

// The list follows the jobs, but not so often that nobody can use it meanwhile.
let shouldLoad = false;
let loaded = 0;
async function loadSometimes() {
  const inUse = element.querySelector(".rd-doc-menu[open], .rd-asking, [data-part=asked] > *");
  if (!shouldLoad || inUse || (isRunning() && Date.now() - loaded < 4 * EVERY)) return;
  shouldLoad = false;
  loaded = Date.now();
  const held = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
  await changed();
  if (held) body.querySelector(`tr[data-id="${CSS.escape(held)}"] input`)?.focus({ preventScroll: true });
}

let wasRunning = false;
function showJobs() {
  const all = [...jobs.values()];
  const files = all.flatMap((job) => job.files.filter(Boolean));
  const running = isRunning();
  part("job").hidden = !all.length && !toSend() && !refused.length;
  const total = all.reduce((sum, job) => sum + job.total, 0) + toSend();
  const done = all.reduce((sum, job) => sum + job.done, 0);
  const share = all.reduce((sum, job) => sum + job.progress * job.total, 0) + sent;
  part("bar").hidden = !running;
  part("bar").value = total ? Math.min(1, share / total) : 0;
  button("stop").hidden = !running;
  button("close").hidden = running;
  const olds = files.filter(canReplace).length;
  button("replace-all").hidden = running || olds < 2;
  button("replace-all").textContent = `Replace all older ones (${olds.toLocaleString("en")})`;
  if (running) {
    const busy = all.find((job) => job.state === "running");
    const stage = busy ? STAGES[busy.stage] || busy.stage : `sending, ${Math.round(100 * sent)} %`;
    part("far").textContent = `${done.toLocaleString("en")} of ${counted(total, "file")} done: ${stage}`;
  } else {
    const labels = [...files, ...refused].map(labelOf);
    const said = [...Object.values(STATES), ...Object.values(AGAIN), REFUSED]
      .map((label) => [labels.filter((one) => one === label).length, label.toLowerCase()])
      .filter(([n]) => n)
      .map(([n, what]) => `${n.toLocaleString("en")} ${what}`);
    if (olds) said.push(`${olds.toLocaleString("en")} beside an older version`);
    part("far").textContent = `${said.join(", ") || "Nothing to do"}.`;
  }
  showOutcomes([...refused, ...files]);
  if (wasRunning && !running) {
    shouldLoad = true;
    refdesk.announce(part("far").textContent);
    loadSometimes();
  }
  wasRunning = running;
}

const REFUSED = "Not taken";
const labelOf = (file) => (file.again && AGAIN[file.state]) || STATES[file.state] || REFUSED;
const canReplace = (file) => Boolean(file.older?.uploaded) && file.state !== "replaced";

function showOutcomes(files) {
  const order = (file) => (["refused", "failed", "skipped"].includes(file.state) ? 0 : file.older ? 1 : 2);
  const shown = [...files].sort((a, b) => order(a) - order(b)).slice(0, SHOWN);
  const list = part("outcomes");
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  const { file: holder } = held?.closest("li").dataset || {};
  list.replaceChildren(...shown.map(outcomeOf));
  if (files.length > shown.length)
    list.append(make("li", "rd-quiet", `and ${(files.length - shown.length).toLocaleString("en")} more`));
  const item = held && [...list.children].find((one) => one.dataset.file === holder);
  (item?.querySelector(held.tagName) || item?.querySelector("a, button"))?.focus({ preventScroll: true });
}

function outcomeOf(file) {
  const item = make("li", `rd-${file.state}`);
  item.dataset.file = `${file.job} ${file.number}`;
  const opened = ["indexed", "unchanged", "replaced"].includes(file.state) && file.document;
  const passages = file.passages ? `, ${counted(file.passages, "passage")}` : "";
  item.append(titled("rd-name", file.name, opened), make("span", "rd-state", `${labelOf(file)}${passages}`));
  if (file.reason) item.append(make("small", "", file.reason));
  for (const warning of file.warnings || []) item.append(make("small", "", warning));
  if (file.older) item.append(besideOf(file));
  return item;
}

// What is said of another file of the same name.
function besideOf(file) {
  if (file.state === "replaced") return make("small", "", "The older one is deleted.");
  const { path, uploaded } = file.older;
  const line = make("small", "rd-beside");
  const words = make("span");
  words.append("Another ", make("bdi", "", path), uploaded
    ? " was here already, and answers may quote both."
    : " is in a folder that was indexed, and answers may quote both. It can be changed there.");
  line.append(words);
  if (uploaded) {
    const replace = act("replace", "Replace the older one", `Replace the older one: ${path}`);
    Object.assign(replace.dataset, { job: file.job, number: file.number });
    line.append(replace);
  }
  return line;
}

let replacing = false;
async function replace(asked) {
  if (replacing) return;
  replacing = true;
  tell("");
  try {
    for (const [id, number] of asked) {
      const query = new URLSearchParams({ since: jobs.get(id)?.revision || 0 });
      if (number !== undefined) query.set("number", number);
      follow(await refdesk.api(`jobs/${id}/replace?${query}`, { method: "POST", body: "" }));
    }
    refdesk.announce(part("far").textContent);
  } catch (error) {
    tell(error.message);
  }
  replacing = false;
  await changed();
}

function replaceAll() {
  const some = [...jobs.values()].filter((job) => job.files.some((file) => file && canReplace(file)));
  return replace(some.map((job) => [job.id]));
}

// Sending

const refused = []; // files that the server did not take, as {name, state, reason}
const waiting = []; // of the browser's files

function send(file, job) {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams({ name: file.name, ...(job ? { job } : {}) });
    const request = new XMLHttpRequest(); // unlike fetch it tells how much was sent
    request.open("POST", `api/documents?${query}`);
    request.upload.onprogress = (event) => {
      sent = event.lengthComputable ? event.loaded / event.total : 0;
      showJobs();
    };
    flying = request;
    sent = 0;
    const failed = (error) => {
      flying = null;
      reject(error);
    };
    request.onload = () => {
      flying = null;
      sent = 0;
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch {
        // a proxy's own page
      }
      if (request.status === 201) resolve(said);
      else reject(new Error(said.error || `The server answers with ${request.status}.`));
    };
    request.onerror = () => failed(new Error("It could not be sent: check that it can be read and that Refdesk still runs."));
    request.onabort = () => failed(new Error("Stopped before it was sent."));
    request.send(file);
  });
}

async function add(files) {
  tell("");
  if (readOnly || !files.length) return;
  if (!isRunning()) closeList();
  waiting.push(...files);
  refdesk.announce(`Adding ${counted(files.length, "file")}.`);
  showJobs();
  if (!flying) await sendAll();
}

async function sendAll() {
  let job = null; // what is dropped together is one
  while (waiting.length) {
    const file = waiting.shift();
    try {
      if (!suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix)))
        throw new Error(`Expected one of ${suffixes.join(", ")}.`);
      if (file.size > largest) throw new Error(`It is larger than ${size(largest)}, the most for one file.`);
      const state = await send(file, job);
      job = state.id;
      follow(state);
    } catch (error) {
      refused.push({ name: file.name, state: "refused", reason: error.message });
      showJobs();
    }
  }
}

function closeList() {
  jobs.clear();
  refused.length = 0;
  wasRunning = false;
  showJobs();
}

async function stop() {
  waiting.length = 0;
  flying?.abort();
  for (const [id, job] of jobs) {
    if (job.state !== "running") continue;
    try {
      follow(await refdesk.api(`jobs/${id}`, { method: "DELETE" }));
    } catch (error) {
      tell(error.message);
    }
  }
}

async function resume() {
  try {
    const { jobs: own } = await refdesk.api("jobs");
    for (const job of own) if (job.state === "running") follow({ ...job, revision: 0 });
  } catch {
    // the list says that nobody answers
  }
}

// Events

const acts = {
  stop, close: () => { closeList(); input.focus(); },
  replace: (_, at) => replace([[at.dataset.job, at.dataset.number]]),
  "replace-all": async () => { await replaceAll(); button("close").focus(); },
  ask: () => askOnly(askable(), [...within.keys()]),
  reindex: () => reindex([...chosen.values()]),
  remove: () => remove([...chosen.values()], null),
  none: () => { chooseNone(); part("search").focus(); },
  more: () => load({ more: true }),
  "all-folders": () => { folder = ""; load(); part("search").focus(); },
  folder: (_, at) => { folder = at.dataset.folder; load(); },
  "ask-one": (doc) => askOnly([doc]),
  "reindex-one": (doc) => reindex([doc]),
  "remove-one": (doc) => remove([doc], doc.id),
  rename,
};

element.addEventListener("click", (event) => {
  const at = event.target.closest("[data-doc]");
  if (!at) return;
  at.closest("details.rd-doc-menu")?.removeAttribute("open");
  note();
  acts[at.dataset.doc](rows.get(at.closest("tr")?.dataset.id), at);
});

element.addEventListener("change", (event) => {
  const { target } = event;
  note();
  if (target === input) {
    add([...target.files]);
    target.value = ""; // so that the same files can be chosen again
  } else if (target.type === "checkbox") choose(target);
  else if (target.tagName === "SELECT") load();
});

let typing = null;
part("search").addEventListener("input", () => {
  clearTimeout(typing);
  note();
  typing = setTimeout(async () => {
    await load();
    refdesk.announce(rows.size ? counted(rows.size, "document") : "No document fits.");
  }, TYPING);
});

// One menu is open at a time; Escape and a click elsewhere close it.
function closeMenus(but = null) {
  for (const menu of element.querySelectorAll(".rd-doc-menu[open]")) if (menu !== but) menu.removeAttribute("open");
}
document.addEventListener("click", (event) => isOpen() && closeMenus(event.target.closest(".rd-doc-menu")));
element.addEventListener("keydown", (event) => {
  const menu = event.target.closest(".rd-doc-menu[open]");
  if (event.key !== "Escape" || !menu) return;
  event.stopPropagation();
  closeMenus();
  menu.querySelector("summary").focus();
});

document.addEventListener("refdesk:view", () => {
  const opener = document.getElementById("rd-shelves");
  if (opener) opener.textContent = isOpen() ? "Back to chat" : "Documents";
  if (!isOpen() && element.contains(document.activeElement)) opener?.focus();
  if (!isOpen()) return;
  element.querySelector("h2").focus({ preventScroll: true });
  load({ keep: true });
  if (!isRunning()) resume();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#rd-shelves")) refdesk.show(isOpen() ? "chat" : "documents");
});

// Files can be dropped anywhere but on an evaluation, which has a zone of its own. What the page does not take would be
// opened by the browser in its place.

const landing = make("p", "rd-landing"); // over any view but that of documents, where the zone is
let leaving = null; // puts the light out, or takes the line away
let own = false; // is it a part of the page that is dragged, such as a picture?
document.addEventListener("dragstart", () => (own = true));
document.addEventListener("dragend", () => (own = false));

function light(on) {
  clearTimeout(leaving);
  element.querySelector(".rd-drop").classList.toggle("rd-over", on && isOpen());
  if (on && !isOpen()) land("Drop files to add them to the documents");
  else landing.remove();
  if (on) leaving = setTimeout(light, QUIET, false);
}

function refuse(line) {
  if (!document.querySelector(".rd-landing.rd-closed")) refdesk.announce(line);
  land(line, "rd-closed");
  clearTimeout(leaving);
  leaving = setTimeout(() => landing.remove(), LINGER);
}

function land(line, className = "") {
  landing.textContent = line;
  landing.className = `rd-landing ${className}`;
  if (!landing.isConnected) document.getElementById("rd-page").append(landing);
}

async function take(files, folders) {
  if (!largest) await load(); // nobody has said yet what may be added
  if (!largest) refuse("Nobody answers: check that Refdesk still runs.");
  else if (readOnly) refuse(CLOSED);
  else {
    refdesk.show("documents");
    document.getElementById("rd-documents").scrollTo({ top: 0 });
    if (folders) tell("A folder cannot be dropped: make a ZIP of it, or index it with “refdesk index”.");
    else add(files);
  }
}

for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (own || refdesk.view === "evaluation" || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (!asked) load(); // it says what may be added, a few words of the drag later
    const closed = largest > 0 && readOnly;
    event.dataTransfer.dropEffect = closed ? "none" : "copy";
    if (closed && kind === "dragover") refuse(CLOSED);
    else if (largest && !closed) light(kind === "dragover" || (kind === "dragleave" && Boolean(event.relatedTarget)));
    if (kind !== "drop") return;
    const folders = [...event.dataTransfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
    take([...event.dataTransfer.files], folders);
  });
}
