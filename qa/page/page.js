// Runs once, as the body of a function (element, trigger, props, server, upload, watch) of the reader's gr.HTML.
// The server renders everything; this moves focus, shows and hides the panel, and asks for cited documents.

const main = document.getElementById("rd-main");
const side = document.getElementById("rd-side");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let opener = null; // what was clicked, to give the focus back
let sequence = Date.now(); // numbers the clicks, so that only the last one's document takes the focus

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

refdesk.awaitResult = awaitResult;

function resultCame() {
  clearInterval(waiting);
}

// The panel holds the sources of one answer, the last one unless somebody wants those of another.
function bringSources(exchange) {
  if (!exchange?.querySelector(".rd-marker")) return;
  const { number, exchange: id } = exchange.dataset;
  if (side.querySelector("#rd-panel [data-of]")?.dataset.of === number) return;
  trigger("sources", { number: Number(number), exchange: id });
  awaitResult();
}

function show(link) {
  opener = link;
  if (link.matches(".rd-marker")) bringSources(link.closest(".rd-exchange"));
  among = link.closest(".rd-nearest, #rd-panel") || document.getElementById("rd-panel");
  const id = link.dataset.cite;
  if (refdesk.layer("document")?.id === id) fetchDocument(id); // back to its words
  else refdesk.cover("document", id);
}

function fetchDocument(id) {
  sequence += 1;
  trigger("cite", { id, sequence });
  awaitResult();
}

function giveFocusBack() {
  if (!opener) return;
  const again = opener.isConnected || !opener.dataset.cite ? opener : refdesk.citing(opener.dataset.cite)[0];
  again?.focus();
}

// What lies over the view is what the place says, whether somebody clicked or went back or forward.
let quietly = false; // does the focus stay where it is?
document.addEventListener("refdesk:place", ({ detail: before }) => {
  const { place } = refdesk;
  const id = refdesk.layer("document")?.id;
  const was = before.layers.find((layer) => layer.kind === "document")?.id;
  if (id && id !== was) fetchDocument(id);
  if (!id) setReading(false);
  setSheet(Boolean(refdesk.layer("sources") || (id && main.classList.contains("rd-reading"))));
  refdesk.pictures.enlarge();
  const left = before.layers.length > place.layers.length && before.view === place.view;
  if (left && ["sources", "document"].includes(before.layers.at(-1).kind) && !quietly) giveFocusBack();
});

watch("value", () => {
  resultCame();
  const shown = element.querySelector(".rd-document");
  if (!shown || Number(shown.dataset.sequence) !== sequence || !refdesk.layer("document")) return;
  setReading(true);
  setSheet(true);
  if (refdesk.view !== "chat") // where it leads back to
    shown.querySelector(".rd-back").textContent = refdesk.view === "documents" ? "Documents" : "Evaluation";
  setSteps(shown);
  const views = shown.querySelector(".rd-views");
  if (views) refdesk.pictures.load(shown, views);
  requestAnimationFrame(() => {
    const target = element.querySelector(`${refdesk.BEGINNING}, [role=alert]`);
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
    if (seen.exchanges) awaitResult();
  }
  if (event.target.closest("#rd-ask button")) awaitResult();
  const link = event.target.closest("a[data-cite]");
  const button = event.target.closest("[data-act]");
  const card = event.target.closest(".rd-card");
  const stepped = event.target.closest("[data-step]");
  if (stepped) step(stepped);
  if (link) {
    event.preventDefault();
    show(link);
  } else if (button) {
    const act = button.dataset.act;
    if (act === "back") refdesk.uncover("document");
    if (act === "close") refdesk.uncover();
    if (act === "sources") {
      opener = button;
      bringSources(button.closest(".rd-exchange"));
      refdesk.cover("sources");
      side.querySelector("#rd-panel .rd-close").focus();
    }
  } else if (card && getSelection().isCollapsed) {
    const quote = event.target.closest("mark[data-cite]")?.dataset.cite;
    show(card.querySelector(quote ? `a[data-cite="${CSS.escape(quote)}"]` : "a[data-cite]"));
  } else if (main.classList.contains("rd-sheet") && refdesk.phone.matches && !event.target.closest("#rd-side, dialog")) {
    refdesk.uncover();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && event.target.closest("#rd-ask")) awaitResult();
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return; // that closes itself
  refdesk.uncover(refdesk.place.layers.at(-1)?.kind);
});

// The citation before or after the one that is open: of an answer by their numbers, else of the nearest passages.
let among = null;

function order() {
  const cards = among?.isConnected ? among : side;
  const links = [...cards.querySelectorAll("a.rd-number[data-cite], .rd-nearest a.rd-title[data-cite]")];
  return links.sort((one, other) => Number(one.textContent) - Number(other.textContent));
}

function setSteps(shown) {
  const links = order();
  const at = links.findIndex((link) => link.dataset.cite === shown.dataset.opened);
  const steps = shown.querySelector(".rd-steps");
  if (!steps) return;
  steps.hidden = at < 0 || links.length < 2;
  steps.querySelector(".rd-step-at").textContent = `${at + 1} of ${links.length}`;
  for (const button of steps.querySelectorAll(".rd-step"))
    button.disabled = !links[at + Number(button.dataset.step)];
}

new MutationObserver(() => {
  const shown = element.querySelector(".rd-document");
  if (shown) setSteps(shown);
}).observe(document.getElementById("rd-panel"), { childList: true, subtree: true });

function step(button) {
  const links = order();
  const at = links.findIndex((link) => link.dataset.cite === element.querySelector(".rd-document").dataset.opened);
  const next = links[at + Number(button.dataset.step)];
  if (next) refdesk.cover("document", next.dataset.cite, { replace: true });
}

// A new question closes the document of the last answer and scrolls to its place, which is an earlier one's where that
// is asked again.
let seen = { exchanges: 0, busy: false, conversation: "" };
function follow() {
  const all = [...document.querySelectorAll("#rd-transcript .rd-exchange")];
  const answering = all.find((exchange) => exchange.getAttribute("aria-busy") === "true");
  const busy = Boolean(answering);
  const conversation = document.querySelector("#rd-transcript .rd-log")?.dataset.conversation;
  const before = seen;
  seen = { exchanges: all.length, busy, conversation };
  const asked = busy && !before.busy;
  if (!asked && all.length === before.exchanges) return;
  if (asked || (before.exchanges && conversation === before.conversation)) {
    quietly = true; // the question box keeps the focus
    refdesk.uncover();
    quietly = false;
  }
  const to = answering || all.at(-1);
  if (!to) return;
  const log = document.querySelector("#rd-transcript .rd-log");
  const place = to.offsetTop - log.offsetTop + (to === all[0] ? -24 : 12);
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

// Gradio mounts buttons later than this, and what the answers go to.
function start() {
  if (document.getElementById("rd-shelves") && document.getElementById("rd-evaluate")) refdesk.start();
  else setTimeout(start, 20);
}
setTimeout(start);
