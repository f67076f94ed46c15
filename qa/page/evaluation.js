// Runs once, as the body of a function (element, trigger, …) of the evaluation's gr.HTML. The server renders every
// state of a run; this sends the file, asks how far the run is, and puts in what the server says.

const view = element.querySelector(".rd-evaluation").parentElement;
const empty = view.innerHTML;
const KEY = "refdesk-evaluation"; // the run's id, for when the page is loaded again
const EVERY = 700;
const LATER = 3000; // after the server could not be reached
const QUIET = 20_000; // between two announcements while a run goes on
const LARGEST = 20_000_000;

let id = sessionStorage.getItem(KEY);
let running = false; // is the run in view, as one that goes on?
let sending = false;
let timer = null;
let announced = 0;

const status = document.createElement("p");
status.className = "rd-hidden";
status.setAttribute("role", "status");
view.after(status);

const leave = document.createElement("button");
leave.type = "button";
leave.id = "rd-leave";
leave.textContent = "Back to chat";

const isOpen = () => refdesk.view === "evaluation";
const heading = () => view.querySelector("h2");

function announce(text) {
  status.textContent = text;
  announced = Date.now();
}

function remember(run) {
  id = run;
  if (run) sessionStorage.setItem(KEY, run);
  else sessionStorage.removeItem(KEY);
}

// Another state of the view. The focus goes to its heading if what had it is gone.
function put(html) {
  const held = view.contains(document.activeElement);
  view.innerHTML = html;
  running = false;
  document.getElementById("rd-evaluations").scrollTop = 0;
  if (held) heading().focus({ preventScroll: true });
}

// The same state, further on: only the parts that move, so that the focus stays.
function move(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const part of fresh.content.querySelectorAll("[data-live]")) {
    const old = view.querySelector(`[data-live="${part.dataset.live}"]`);
    if (old.textContent !== part.textContent) old.textContent = part.textContent;
    for (const name of old.getAttributeNames()) if (!part.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of part.attributes) old.setAttribute(name, value);
  }
}

function show(run) {
  clearTimeout(timer);
  if (run.state === "running" && running) {
    move(run.html);
    if (Date.now() - announced > QUIET) announce(view.querySelector("[data-live=far]").textContent);
  } else {
    put(run.html);
    running = run.state === "running";
    const lead = run.state === "done" ? `: ${view.querySelector(".rd-lead").textContent}` : "";
    if (running || lead) announce(heading().textContent + lead);
  }
  if (running && isOpen()) timer = setTimeout(look, EVERY);
}

async function look() {
  clearTimeout(timer);
  const wanted = id;
  try {
    const response = await fetch(`evaluations/${wanted}`);
    const run = await response.json();
    if (wanted !== id || !isOpen()) return;
    if (response.ok) show(run);
    else restart();
  } catch {
    if (isOpen()) timer = setTimeout(look, LATER);
  }
}

function restart() {
  remember(null);
  put(empty);
}

function tell(line) {
  const notice = view.querySelector("[data-notice]");
  if (notice) notice.textContent = line;
}

async function start(file) {
  if (sending) return;
  if (!/\.(csv|tsv|jsonl|json)$/i.test(file.name)) return tell("Choose a .csv, .tsv, .jsonl or .json file.");
  if (file.size > LARGEST) return tell("Choose a file of up to 20 MB.");
  sending = true;
  try {
    const name = encodeURIComponent(file.name);
    const response = await fetch(`evaluations?name=${name}`, { method: "POST", body: file });
    const run = await response.json();
    if (!response.ok) return tell(run.error);
    remember(run.id);
    show(run);
  } catch {
    tell("The file could not be sent: check that it can be read and that Refdesk still runs.");
  } finally {
    sending = false;
  }
}

async function stop() {
  try {
    const response = await fetch(`evaluations/${id}`, { method: "DELETE" });
    if (response.ok) show(await response.json());
  } catch {
    // the next look says that nobody answers
  }
}

document.addEventListener("refdesk:view", () => {
  const opener = document.getElementById("rd-evaluate");
  if (isOpen()) opener.setAttribute("aria-current", "page");
  else opener.removeAttribute("aria-current");
  if (isOpen()) document.getElementById("rd-shelves").before(leave); // Gradio mounts the bar later than this script runs
  else if (document.activeElement === leave) document.querySelector("#rd-ask textarea").focus();
  else if (element.contains(document.activeElement)) opener.focus();
  clearTimeout(timer);
  if (!isOpen()) return;
  heading().focus({ preventScroll: true });
  if (id) look();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#rd-evaluate")) refdesk.show("evaluation");
  if (event.target === leave) refdesk.show("chat");
  const act = event.target.closest("[data-evaluation]")?.dataset.evaluation;
  if (act === "stop") stop();
  if (act === "another") restart();
});

element.addEventListener("change", (event) => {
  const [file] = event.target.files || [];
  if (!file) return;
  start(file);
  event.target.value = ""; // so that the same file can be chosen again
});

// A file that misses the zone would be opened by the browser in place of the page.
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const zone = view.querySelector(".rd-drop");
    if (!isOpen() || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const over = kind === "dragover" && element.contains(event.target);
    zone?.classList.toggle("rd-over", over);
    event.dataTransfer.dropEffect = zone && over ? "copy" : "none";
    if (kind !== "drop" || !zone || !element.contains(event.target)) return;
    const { files } = event.dataTransfer;
    if (files.length === 1) start(files[0]);
    else tell("Drop one file at a time.");
  });
}
