// Runs once, as the body of a function (element, trigger, props, server, upload, watch) of the reader's gr.HTML.
// The server renders everything; this moves focus, shows and hides the panel, and asks for cited documents.

const main = document.getElementById("rd-main");
const side = document.getElementById("rd-side");
const phone = matchMedia("(max-width: 860px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let opener = null; // what was clicked, to give the focus back
const PLACE = "#rd-mark, .rd-about h2[tabindex]"; // of a document without a quote it is the beginning
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
  const again = opener.isConnected || !opener.dataset.cite ? opener : find(opener.dataset.cite)[0];
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
  showEnlarged(Boolean(refdesk.layer("picture")));
  const left = before.layers.length > place.layers.length && before.view === place.view;
  if (left && ["sources", "document"].includes(before.layers.at(-1).kind) && !quietly) giveFocusBack();
});

watch("value", () => {
  resultCame();
  const shown = element.querySelector(".rd-document");
  if (!shown || Number(shown.dataset.sequence) !== sequence || !refdesk.layer("document")) return;
  setReading(true);
  setSheet(true);
  if (refdesk.view !== "chat")
    shown.querySelector(".rd-back").textContent = "Documents"; // what the panel holds beside an evaluation
  setSteps(shown);
  const views = shown.querySelector(".rd-views");
  if (views) loadPicture(shown, views);
  requestAnimationFrame(() => {
    const target = element.querySelector(`${PLACE}, [role=alert]`);
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
  const pressed = event.target.closest("[data-step], [data-show], [data-enlarge], .rd-picture");
  if (pressed?.dataset.step) step(pressed);
  if (pressed?.dataset.show) {
    lastView = pressed.dataset.show;
    showView(pressed.closest(".rd-document"), lastView);
  }
  if (pressed?.matches("[data-enlarge], .rd-picture")) refdesk.cover("picture");
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
  } else if (main.classList.contains("rd-sheet") && phone.matches && !event.target.closest("#rd-side, dialog")) {
    refdesk.uncover();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && event.target.closest("#rd-ask")) awaitResult();
  if (event.key === "Enter" && event.target.matches(".rd-picture")) refdesk.cover("picture");
  if (event.key === "Escape" && !event.isComposing && !enlarged.open) refdesk.uncover(refdesk.place.layers.at(-1)?.kind);
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

// A PDF's page as a picture. It comes by itself unless somebody has begun to read the text.
async function loadPicture(shown, views) {
  const path = `citations/${encodeURIComponent(views.dataset.picture)}`;
  const pane = shown;
  let touched = false;
  const touch = () => (touched = true);
  for (const kind of ["wheel", "pointerdown", "keydown"]) pane.addEventListener(kind, touch, { once: true });
  try {
    const width = Math.min(1600, Math.round(pane.clientWidth * Math.min(devicePixelRatio, 2)));
    const page = await refdesk.api(`${path}/page.json?width=${width}`);
    if (!page.width) throw new Error(page.note);
    const picture = new Image();
    picture.className = "rd-picture";
    picture.tabIndex = -1;
    picture.alt = `Page ${page.page} of ${page.pages}${saidOfWords(page)}`;
    picture.src = `api/${path}/page.png?width=${width}`;
    picture.dataset.large = `api/${path}/page.png?width=${LARGE}`;
    await picture.decode();
    if (!pane.isConnected) return;
    pane.querySelector(".rd-text").before(picture);
    const [corner] = page.boxes;
    picture.dataset.left = corner ? corner.left : 0;
    picture.dataset.top = corner ? Math.min(...page.boxes.map((box) => box.top)) : 0;
    if (page.boxes.length && !touched && lastView === "page") showView(pane, "page");
    showEnlarged(Boolean(refdesk.layer("picture")));
  } catch (error) {
    views.replaceWith(note(error.message)); // the text is there; what keeps the picture away is nothing more
  }
}

function saidOfWords(page) {
  if (page.boxes.length) return ", the quoted words boxed";
  return element.querySelector("#rd-mark") ? "; the quoted words could not be located on it" : "";
}

function note(line) {
  const said = document.createElement("span");
  said.className = "rd-no-picture";
  said.textContent = line;
  return said;
}

// The picture enlarged, over everything: a dialog of the browser's own, so that it keeps the focus and gives it back.
const LARGE = 2000; // pixels of its width
const READABLE = 700; // of a page of small print
const WIDTHS = [380, 700, 1000, 1500, 2000, 3000]; // it can be shown at
const enlarged = document.createElement("dialog");
enlarged.id = "rd-enlarged";
enlarged.innerHTML = `
<header><button type="button" data-zoom="-1" aria-label="Smaller"></button>
  <button type="button" data-zoom="1" aria-label="Larger"></button>
  <button type="button" class="rd-close" data-zoom="close" aria-label="Close"></button></header>
<div role="region" aria-label="Page, enlarged" tabindex="0" autofocus></div>`;
document.getElementById("rd-page").append(enlarged);
const frame = enlarged.querySelector("div");

function showEnlarged(on) {
  const id = refdesk.layer("document")?.id;
  const picture = id && element.querySelector(`.rd-document[data-opened="${CSS.escape(id)}"] .rd-picture`);
  if (!on && enlarged.open) enlarged.close();
  if (!on || enlarged.open || !picture) return;
  const large = new Image();
  large.alt = picture.alt;
  large.src = picture.src; // until the large one is there
  frame.replaceChildren(large);
  enlarged.showModal();
  const most = Math.max(READABLE, frame.clientWidth);
  setWidth(WIDTHS.findLastIndex((width) => width <= most));
  frame.scrollLeft = large.clientWidth * picture.dataset.left - 24;
  frame.scrollTop = large.clientHeight * picture.dataset.top - frame.clientHeight / 3;
  const sharp = new Image();
  sharp.src = picture.dataset.large;
  sharp.decode().then(() => (large.src = sharp.src), () => {}); // else the small one stays
}

// The middle of what is seen stays in the middle.
function setWidth(step) {
  const [picture] = frame.children;
  const before = picture.clientWidth || 1;
  const [x, y] = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
  enlarged.dataset.size = step;
  picture.style.width = `${WIDTHS[step]}px`;
  frame.scrollLeft = (x * picture.clientWidth) / before - frame.clientWidth / 2;
  frame.scrollTop = (y * picture.clientWidth) / before - frame.clientHeight / 2;
  for (const button of enlarged.querySelectorAll("[data-zoom]"))
    button.disabled = WIDTHS[step + Number(button.dataset.zoom)] === undefined && button.dataset.zoom !== "close";
  if (document.activeElement.disabled) frame.focus();
}

enlarged.addEventListener("click", (event) => {
  const zoom = event.target.closest("[data-zoom]")?.dataset.zoom;
  if (zoom === "close" || event.target === frame) refdesk.uncover("picture");
  else if (zoom) setWidth(Number(enlarged.dataset.size) + Number(zoom));
});
enlarged.addEventListener("keydown", (event) => {
  const to = Number(enlarged.dataset.size) + { "+": 1, "=": 1, "-": -1 }[event.key];
  if (WIDTHS[to] && !event.ctrlKey && !event.metaKey) setWidth(to);
});
enlarged.addEventListener("close", () => refdesk.uncover("picture")); // by Escape, or by a phone's own way back

let lastView = "page"; // what was looked at last is what the next citation shows

function showView(pane, view) {
  pane.dataset.view = view;
  for (const button of pane.querySelectorAll("[data-show]"))
    button.setAttribute("aria-pressed", String(button.dataset.show === view));
  const target = view === "page" ? pane.querySelector(".rd-picture") : pane.querySelector(PLACE);
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
let seen = { exchanges: 0, busy: false, conversation: "" };
function follow() {
  const all = document.querySelectorAll("#rd-transcript .rd-exchange");
  const last = all[all.length - 1];
  const busy = last?.getAttribute("aria-busy") === "true";
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
  if (!last) return;
  const log = document.querySelector("#rd-transcript .rd-log");
  const place = last.offsetTop - log.offsetTop + (all.length > 1 ? 12 : -24);
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
