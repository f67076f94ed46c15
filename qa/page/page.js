// Runs once, as the body of a function (element, trigger, props, server, upload, watch) of the reader's gr.HTML.
// The server renders everything; this moves focus, shows and hides the panel, and asks for cited documents.

const main = document.getElementById("rd-main");
const side = document.getElementById("rd-side");
const phone = matchMedia("(max-width: 860px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let opener = null; // what was clicked, to give the focus back
let sequence = Date.now(); // numbers the clicks, so that only the last one's document takes the focus

const find = (id) => document.querySelectorAll(`[data-cite="${CSS.escape(id)}"]`);

function setReading(on) {
  main.classList.toggle("rd-reading", on);
}

function setSheet(on) {
  main.classList.toggle("rd-sheet", on);
}

function show(link) {
  opener = link;
  sequence += 1;
  trigger("cite", { id: link.dataset.cite, sequence });
}

function giveFocusBack() {
  if (!opener) return;
  const again = opener.isConnected ? opener : find(opener.dataset.cite)[0];
  const link = again && (again.matches("a, button") ? again : again.querySelector("a"));
  if (link) link.focus();
}

function leave({ wholly }) {
  const fromPanel = opener && side.contains(opener);
  setReading(false);
  if (wholly || !fromPanel) setSheet(false);
  giveFocusBack();
}

watch("value", () => {
  const shown = element.querySelector(".rd-document");
  if (!shown || Number(shown.dataset.sequence) !== sequence) return;
  setReading(true);
  setSheet(true);
  requestAnimationFrame(() => {
    const target = element.querySelector("#rd-mark, [role=alert]");
    if (!target) return;
    const pane = element.querySelector(".rd-document");
    const room = Math.max(0, (pane.clientHeight - target.offsetHeight) / 2.6);
    pane.scrollTop += target.getBoundingClientRect().top - pane.getBoundingClientRect().top - room;
    target.focus({ preventScroll: true });
  });
});

document.addEventListener("click", (event) => {
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
      side.querySelector(".rd-close").focus();
    }
  } else if (card && getSelection().isCollapsed) {
    show(card.querySelector("a[data-cite]"));
  } else if (main.classList.contains("rd-sheet") && phone.matches && !side.contains(event.target)) {
    leave({ wholly: true });
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (main.classList.contains("rd-reading")) leave({ wholly: false });
  else if (phone.matches && main.classList.contains("rd-sheet")) leave({ wholly: true });
});

// A marker and its card light up together.
function light(event) {
  const on = event.type === "mouseover" || event.type === "focusin";
  const cited = event.target.closest?.("[data-cite]");
  if (cited) find(cited.dataset.cite).forEach((one) => one.classList.toggle("rd-lit", on));
}
for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) document.addEventListener(kind, light);

// A new question closes the document of the last answer and scrolls to its place.
let exchanges = 0;
function follow() {
  const all = document.querySelectorAll("#rd-transcript .rd-exchange");
  if (all.length !== exchanges) {
    setReading(false);
    setSheet(false);
  }
  if (all.length) {
    const log = document.querySelector("#rd-transcript .rd-log");
    const place = all[all.length - 1].offsetTop - log.offsetTop + (all.length > 1 ? 12 : -24);
    if (all.length !== exchanges || log.scrollTop < place)
      log.scrollTo({ top: place, behavior: still.matches ? "instant" : "smooth" });
  }
  exchanges = all.length;
}

// Gradio's send button has no name of its own.
function nameSend() {
  const send = document.querySelector("#rd-ask button.submit-button");
  if (send && !send.hasAttribute("aria-label")) send.setAttribute("aria-label", "Send question");
}

// The other widgets may be mounted later than this one, so what holds all of them is observed.
nameSend();
new MutationObserver(() => {
  nameSend();
  follow();
}).observe(main, { childList: true, subtree: true });
