// Runs once, as the body of a function (element, trigger, props, server, upload, watch) of the reader's gr.HTML.
// The server renders everything; this moves focus, shows and hides the panel, and asks for cited documents.

const main = document.getElementById("rd-main");
const side = document.getElementById("rd-side");
const phone = matchMedia("(max-width: 860px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let opener = null; // what was clicked, to give the focus back
let sequence = Date.now(); // numbers the clicks, so that only the last one's document takes the focus

const find = (id) => document.querySelectorAll(`[data-cite~="${CSS.escape(id)}"]`);

function setReading(on) {
  main.classList.toggle("rd-reading", on);
}

function setSheet(on) {
  main.classList.toggle("rd-sheet", on);
}

// Gradio closes its event stream after the last pending event. An event that is sent in that very moment is done by
// the server, but its result waits for the next stream, which any further event opens.
const PATIENCE = 800;
let waiting = null;
function awaitResult() {
  clearInterval(waiting);
  let left = 10;
  waiting = setInterval(() => (left-- ? trigger("nudge") : clearInterval(waiting)), PATIENCE);
}

function resultCame() {
  clearInterval(waiting);
}

function show(link) {
  opener = link;
  sequence += 1;
  trigger("cite", { id: link.dataset.cite, sequence });
  awaitResult();
}

function giveFocusBack() {
  if (!opener) return;
  const again = opener.isConnected || !opener.dataset.cite ? opener : find(opener.dataset.cite)[0];
  again?.focus();
}

function leave({ wholly }) {
  const fromPanel = opener && side.contains(opener);
  setReading(false);
  if (wholly || !fromPanel) setSheet(false);
  giveFocusBack();
}

watch("value", () => {
  resultCame();
  const shown = element.querySelector(".rd-document");
  if (!shown || Number(shown.dataset.sequence) !== sequence) return;
  setReading(true);
  setSheet(true);
  if (refdesk.view !== "chat")
    shown.querySelector(".rd-back").textContent = "Documents"; // what the panel holds beside an evaluation
  requestAnimationFrame(() => {
    const target = element.querySelector("#rd-mark, [role=alert]");
    if (!target) return;
    const pane = element.querySelector(".rd-document");
    const about = element.querySelector(".rd-about");
    const covered = about ? about.offsetTop + about.offsetHeight - pane.scrollTop + 24 : 0;
    const room = Math.max(covered, (pane.clientHeight - target.offsetHeight) / 2.6);
    pane.scrollTop += target.getBoundingClientRect().top - pane.getBoundingClientRect().top - room;
    target.focus({ preventScroll: true });
  });
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#rd-new")) {
    document.querySelector("#rd-ask textarea").focus();
    if (exchanges) awaitResult();
  }
  if (event.target.closest("#rd-ask button")) awaitResult();
  const link = event.target.closest("a[data-cite]");
  const button = event.target.closest("[data-act]");
  const card = event.target.closest(".rd-card");
  if (link) {
    event.preventDefault();
    show(link);
  } else if (button) {
    const act = button.dataset.act;
    if (act === "back") leave({ wholly: false });
    if (act === "close") leave({ wholly: true });
    if (act === "sources") {
      opener = button;
      setReading(false);
      setSheet(true);
      side.querySelector("#rd-panel .rd-close").focus();
    }
  } else if (card && getSelection().isCollapsed) {
    const quote = event.target.closest("mark[data-cite]")?.dataset.cite;
    show(card.querySelector(quote ? `a[data-cite="${CSS.escape(quote)}"]` : "a[data-cite]"));
  } else if (main.classList.contains("rd-sheet") && phone.matches && !side.contains(event.target)) {
    leave({ wholly: true });
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && event.target.closest("#rd-ask")) awaitResult();
  if (event.key !== "Escape" || event.isComposing) return;
  if (main.classList.contains("rd-reading")) leave({ wholly: false });
  else if (phone.matches && main.classList.contains("rd-sheet")) leave({ wholly: true });
});

// A marker and its card light up together.
function light(event) {
  const on = event.type === "mouseover" || event.type === "focusin";
  const cited = event.target.closest?.("[data-cite]");
  if (!cited) return;
  for (const id of cited.dataset.cite.split(" "))
    for (const one of find(id)) one.classList.toggle("rd-lit", on);
}
for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) document.addEventListener(kind, light);

// A new question closes the document of the last answer and scrolls to its place.
let exchanges = 0;
let wasBusy = false;
function follow() {
  const all = document.querySelectorAll("#rd-transcript .rd-exchange");
  const last = all[all.length - 1];
  const busy = last?.getAttribute("aria-busy") === "true";
  const changed = all.length !== exchanges || (busy && !wasBusy);
  exchanges = all.length;
  wasBusy = busy;
  if (!changed) return;
  setReading(false);
  setSheet(false);
  if (!last) return;
  const log = document.querySelector("#rd-transcript .rd-log");
  const place = last.offsetTop - log.offsetTop + (exchanges > 1 ? 12 : -24);
  log.scrollTo({ top: place, behavior: still.matches ? "instant" : "smooth" });
}

// Gradio's send button has no name of its own.
function nameSend() {
  const send = document.querySelector("#rd-ask button.submit-button");
  if (send && !send.hasAttribute("aria-label")) send.setAttribute("aria-label", "Send question");
}

// The other widgets may be mounted later than this one, so what holds all of them is observed.
nameSend();
new MutationObserver((changes) => {
  nameSend();
  if (!changes.some((change) => change.target.closest?.("#rd-transcript .html-container"))) return;
  resultCame();
  follow();
}).observe(main, { childList: true, subtree: true });
