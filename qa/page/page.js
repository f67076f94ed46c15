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

refdesk.awaitResult = awaitResult;

function resultCame() {
  clearInterval(waiting);
}

function show(link) {
  opener = link;
  among = link.closest("#rd-reader") ? among : link.closest(".rd-nearest, #rd-panel") || document.getElementById("rd-panel");
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
  setSteps(shown);
  const views = shown.querySelector(".rd-views");
  if (views) loadPicture(shown, views);
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
  const pressed = event.target.closest("[data-step], [data-show]");
  if (pressed?.dataset.step) step(pressed);
  if (pressed?.dataset.show) {
    lastView = pressed.dataset.show;
    showView(pressed.closest(".rd-document"), lastView);
  }
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

// The citation before or after the one that is open, in the order of the cards it was opened among.
let among = null;

function order() {
  const links = (among?.isConnected ? among : side).querySelectorAll("a.rd-number[data-cite], a.rd-title[data-cite]");
  return [...new Map([...links].map((link) => [link.dataset.cite, link])).values()];
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

function step(button) {
  const links = order();
  const at = links.findIndex((link) => link.dataset.cite === element.querySelector(".rd-document").dataset.opened);
  const next = links[at + Number(button.dataset.step)];
  if (next) show(next);
}

// A PDF's page as a picture. It comes by itself unless somebody has begun to read the text.
async function loadPicture(shown, views) {
  const id = encodeURIComponent(views.dataset.picture);
  const pane = shown;
  let touched = false;
  const touch = () => (touched = true);
  for (const kind of ["wheel", "pointerdown", "keydown"]) pane.addEventListener(kind, touch, { once: true });
  try {
    const width = Math.min(1600, Math.round(pane.clientWidth * Math.min(devicePixelRatio, 2)));
    const page = await refdesk.api(`citations/${id}/page.json?width=${width}`);
    const picture = new Image();
    picture.className = "rd-picture";
    picture.tabIndex = -1;
    picture.alt = page.boxes.length
      ? `Page ${page.page} of ${page.pages}, the quoted words boxed`
      : `Page ${page.page} of ${page.pages}; the quoted words could not be located on it`;
    picture.src = `api/citations/${id}/page.png?width=${width}`;
    await picture.decode();
    if (!pane.isConnected) return;
    pane.querySelector(".rd-text").before(picture);
    views.hidden = false;
    picture.dataset.top = page.boxes.length ? Math.min(...page.boxes.map((box) => box.top)) : 0;
    if (page.boxes.length && !touched && lastView === "page") showView(pane, "page");
  } catch {
    views.remove(); // the text is there; what keeps the picture away is nothing the reader can change
  }
}

let lastView = "page"; // what was looked at last is what the next citation shows

function showView(pane, view) {
  pane.dataset.view = view;
  for (const button of pane.querySelectorAll("[data-show]"))
    button.setAttribute("aria-pressed", String(button.dataset.show === view));
  const target = view === "page" ? pane.querySelector(".rd-picture") : pane.querySelector("#rd-mark");
  const top = view === "page" ? target.offsetTop + target.offsetHeight * Number(target.dataset.top || 0) : target.offsetTop;
  const about = pane.querySelector(".rd-about");
  pane.scrollTop = Math.max(0, top - about.offsetTop - about.offsetHeight - 60);
  target.focus({ preventScroll: true });
}

// What a marker stands for, without leaving the answer.
const peek = document.createElement("div");
peek.id = "rd-peek";
peek.hidden = true;
peek.setAttribute("aria-hidden", "true");
document.getElementById("rd-page").append(peek);
let peeking = null;

function showPeek(marker) {
  const card = side.querySelector(`#rd-panel .rd-card[data-cite~="${CSS.escape(marker.dataset.cite)}"]`);
  if (!card) return;
  const quote = card.querySelector(`mark[data-cite="${CSS.escape(marker.dataset.cite)}"]`);
  peek.replaceChildren(card.querySelector(".rd-title").cloneNode(true), card.querySelector(".rd-place").cloneNode(true));
  peek.firstChild.removeAttribute("href");
  if (quote) {
    const said = document.createElement("p");
    said.dir = "auto";
    said.textContent = quote.textContent.length > 280 ? `${quote.textContent.slice(0, 280)}…` : quote.textContent;
    peek.append(said);
  }
  peek.hidden = false;
  const at = marker.getBoundingClientRect();
  const left = Math.min(Math.max(12, at.left - 20), innerWidth - peek.offsetWidth - 12);
  const above = at.top - peek.offsetHeight - 8;
  peek.style.left = `${left}px`;
  peek.style.top = `${above > 8 ? above : at.bottom + 8}px`;
}

function hidePeek() {
  clearTimeout(peeking);
  peek.hidden = true;
}

for (const kind of ["mouseover", "focusin"])
  document.addEventListener(kind, (event) => {
    const marker = event.target.closest?.(".rd-marker");
    hidePeek();
    if (marker && !phone.matches) peeking = setTimeout(showPeek, 220, marker);
  });
for (const kind of ["click", "keydown", "wheel"]) document.addEventListener(kind, hidePeek, { passive: true });

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
