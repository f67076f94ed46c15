// Runs once, as the body of a function (element, trigger, …) of the gr.HTML above the question box: everything around a
// question but typing it. The server renders answers; this asks again, copies, and keeps what a question is asked with.

const log = () => document.querySelector("#rd-transcript .rd-log");
const box = () => document.querySelector("#rd-ask textarea");
const settings = document.getElementById("rd-settings");
const summary = element.querySelector("[data-act=settings]");
const chip = element.querySelector(".rd-chip");
const KEPT = "refdesk-settings"; // what the next visit starts with
const DRAFT = "refdesk-draft";
const CHOSEN = `refdesk-chosen ${location.pathname}`; // of several libraries at one address each has its own
const LAST = 2 ** 31; // a number above that of any exchange: nothing is replaced
let again = null; // the exchange that the settings are chosen for, if it is one

let sent = -Infinity; // when a question was sent last

const title = document.createElement("p"); // of the settings while they are for one exchange
title.className = "rd-settings-for";
title.append("Ask “", document.createElement("bdi"), "” again");
settings.prepend(title);

const place = (shown) => ({ number: Number(shown.dataset.number), exchange: shown.dataset.exchange });

function ask(question, { number = LAST, alone = false, ...others } = {}) {
  if (!question.trim()) return;
  refdesk.show("chat");
  sent = performance.now();
  trigger("again", { number, question, alone, ...others });
  refdesk.awaitResult();
}

function type(question) {
  box().value = question;
  box().dispatchEvent(new Event("input", { bubbles: true }));
}

// A question that is not asked yet outlives a reload, and so does which documents are asked: Gradio reloads the page
// when its server has come back. Nothing is kept while the page is there, so that a tab made from it starts anew.
addEventListener("pagehide", () => {
  try {
    sessionStorage.setItem(DRAFT, box().value);
    sessionStorage.setItem(CHOSEN, JSON.stringify(refdesk.scope.sources));
  } catch {
    // a browser that keeps nothing
  }
});
function taken(key) {
  try {
    const kept = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    return kept;
  } catch {
    return null; // the same
  }
}
setTimeout(() => {
  const draft = taken(DRAFT);
  if (draft && !box().value) type(draft);
});

// A question on its way to a server that is slow, or away. Gradio marks the conversation from the call to its first
// sign, or its failure, so that this ends whatever comes; what was sent a moment before tells a question from other calls.

const SLOW = 400; // until it is said
const MOMENT = 1000;
const way = document.createElement("p");
way.className = "rd-way";
summary.before(way);
let slow = null;

function tell(line, failed = false) {
  way.textContent = line;
  way.classList.toggle("rd-failure", failed);
  if (line) refdesk.announce(line);
}

function lookAfter() {
  const waits = Boolean(document.querySelector("#rd-transcript > .wrap.translucent:not(:has(.error))"));
  const around = document.getElementById("rd-ask");
  if (waits === (around?.getAttribute("aria-busy") === "true") || (waits && performance.now() - sent > MOMENT)) return;
  around.setAttribute("aria-busy", String(waits));
  clearTimeout(slow);
  if (waits) slow = setTimeout(tell, SLOW, "Sending…");
  const came = waits || document.querySelector("#rd-transcript .rd-exchange[aria-busy=true]");
  const lost = !came && Boolean(document.querySelector("#rd-transcript > .wrap .error, .toast-body.error"));
  const there = box().value.trim() ? " Your question is still in the box." : "";
  tell(lost ? `No answer came.${there}` : "", lost);
}

const sends = (event) => (event.type === "click" ? event.target.closest("#rd-ask button")
  : event.key === "Enter" && !event.shiftKey && event.target.closest("#rd-ask"));
for (const kind of ["keydown", "click"])
  document.addEventListener(kind, (event) => sends(event) && (sent = performance.now()), { capture: true });
new MutationObserver(lookAfter)
  .observe(document.getElementById("rd-left"), { subtree: true, childList: true, attributeFilter: ["class"] });

// What the next question is asked with

function said(name, value) {
  return settings.querySelector(`[name=${name}][value="${value}"]`)?.closest("label").textContent.trim();
}

// A source is a document's name or a folder's glob, in which what a glob would read is in brackets of its own.
const isFolder = (source) => source.endsWith("/*");
const plainly = (source) => (isFolder(source) ? source.slice(0, -2).replace(/\[([[*?])\]/g, "$1") : source);

function showScope() {
  const { sources, k, by } = refdesk.scope;
  const names = sources.map(plainly);
  chip.hidden = !sources.length;
  chip.firstChild.data = sources.length === 1 && isFolder(sources[0]) ? "Only the folder " : "Only ";
  chip.querySelector("bdi").textContent = names.length > 1 ? `${names.length} documents or folders` : (names[0] || "");
  chip.title = names.slice(0, 20).join("\n");
  document.getElementById("rd-page").toggleAttribute("data-chosen", sources.length > 0); // what starts a chat is of all
  summary.textContent = `${said("k", k)}, ${said("by", by).toLowerCase()}`;
  for (const [name, value] of [["k", k], ["by", by]]) settings.querySelector(`[name=${name}][value="${value}"]`).checked = true;
}

function setSettings(open, exchange = null) {
  again = exchange;
  settings.hidden = !open;
  summary.setAttribute("aria-expanded", String(open));
  settings.querySelector("[type=submit]").textContent = exchange ? "Ask again" : "Done";
  title.hidden = !exchange;
  if (exchange) {
    title.querySelector("bdi").textContent = words(exchange);
    settings.setAttribute("aria-label", title.textContent);
  } else settings.setAttribute("aria-label", "What questions are asked with");
  showScope();
  if (open) settings.querySelector("input:checked").focus();
}

function chosen() {
  const values = new FormData(settings);
  return { k: Number(values.get("k")), by: values.get("by") };
}

settings.addEventListener("change", () => {
  if (again) return; // what is chosen for one question is not for the next
  refdesk.setScope(chosen());
  try {
    localStorage.setItem(KEPT, JSON.stringify({ k: refdesk.scope.k, by: refdesk.scope.by }));
  } catch {
    // a browser that keeps nothing
  }
});

settings.addEventListener("submit", (event) => {
  event.preventDefault();
  if (again) ask(words(again), { ...place(again), ...chosen() });
  setSettings(false);
  box().focus();
});

document.addEventListener("refdesk:scope", showScope);
try {
  const { k, by } = JSON.parse(localStorage.getItem(KEPT)) || {};
  if (said("k", k) && said("by", by)) Object.assign(refdesk.scope, { k, by });
} catch {
  // nothing kept, or not by this page
}
try {
  const chosen = JSON.parse(taken(CHOSEN));
  if (Array.isArray(chosen) && chosen.every((one) => typeof one === "string")) refdesk.scope.sources = chosen;
} catch {
  // the same
}
showScope();

// A question that is changed in its place

const words = (exchange) => exchange.querySelector(".rd-question-words").textContent;

function change(shown, label, send) {
  if (shown.nextElementSibling?.classList.contains("rd-change")) return;
  const form = document.createElement("form");
  form.className = "rd-change";
  const area = document.createElement("textarea");
  area.value = shown.querySelector(".rd-question-words, .rd-searched-words").textContent;
  area.setAttribute("aria-label", label);
  area.rows = 2;
  area.maxLength = 4000;
  const buttons = ["Ask again", "Cancel"].map((text, place) => {
    const button = document.createElement("button");
    button.type = place ? "button" : "submit";
    button.className = "rd-button";
    button.textContent = text;
    return button;
  });
  form.append(area, ...buttons);
  shown.hidden = true;
  shown.after(form);
  area.focus();
  area.select();
  const leave = () => {
    form.remove();
    shown.hidden = false;
    shown.querySelector("button")?.focus();
  };
  buttons[1].addEventListener("click", leave);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    } else if (event.key === "Enter" && !event.shiftKey && event.target === area && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (area.value.trim()) send(area.value);
  });
}

async function copy(button) {
  const form = button.parentElement.querySelector(`template[data-form="${button.dataset.copy}"]`);
  const text = form.content.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // without a secure connection there is no clipboard; the old way asks for a selection
    const area = document.createElement("textarea");
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = "Copied";
  refdesk.announce("Copied with sources");
  setTimeout(() => (button.textContent = label), 1600);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-act], [data-copy]");
  if (!settings.hidden && !event.target.closest("#rd-settings, [data-act=settings], [data-act=again]")) setSettings(false);
  if (!target) return;
  const exchange = target.closest(".rd-exchange");
  const act = target.dataset.act;
  if (target.dataset.copy) copy(target);
  if (act === "suggestion") ask(target.textContent);
  if (act === "documents") refdesk.show("documents");
  if (act === "settings") setSettings(settings.hidden);
  if (act === "again") setSettings(true, exchange);
  if (act === "anywhere") {
    refdesk.setScope({ sources: [] });
    box().focus();
  }
  if (act === "edit") change(exchange.querySelector(".rd-asked"), "Question", (question) => ask(question, place(exchange)));
  if (act === "search")
    change(target.parentElement, "What is searched", (question) => ask(question, { ...place(exchange), alone: true }));
  if (act === "stop") {
    const question = words(exchange);
    trigger("stop");
    refdesk.awaitResult();
    type(question);
    box().focus();
  }
  if (act === "menu") toggleMenu();
});

// Conversations: the one of the place is shown

let open = ""; // the conversation in view
let coming = null; // the one that was asked for and is not there yet
let answered = ""; // the exchanges that are kept of the one in view

refdesk.open = (conversation, exchange = "") => {
  refdesk.go({ view: "chat", conversation, exchange });
  if (conversation === open) scrollTo(exchange);
};

function reach() {
  const { conversation, exchange } = refdesk.place;
  if (conversation === (coming ?? open)) return scrollTo(exchange);
  coming = conversation;
  call();
}

function call() {
  if (coming) trigger("open", { id: coming });
  else document.getElementById("rd-new").click();
  refdesk.awaitResult();
}

function scrollTo(exchange) {
  const found = exchange && document.querySelector(`.rd-exchange[data-exchange="${CSS.escape(exchange)}"]`);
  if (!found) return;
  found.scrollIntoView({ block: "start" });
  const heading = found.querySelector(".rd-question");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

function look() {
  const conversation = log()?.dataset.conversation || "";
  const exchanges = [...document.querySelectorAll("#rd-transcript .rd-exchange")];
  const kept = exchanges.map((exchange) => exchange.dataset.exchange).join(" ").trim();
  const missing = coming && !exchanges.length && log()?.querySelector(".rd-notice");
  if (exchanges.some((exchange) => exchange.ariaBusy === "true")) coming = null; // what is asked now is asked here
  if (conversation !== open || missing) {
    open = conversation;
    if (coming && open && coming !== open) call(); // while that one came, another was asked for
    else settle();
    document.dispatchEvent(new CustomEvent("refdesk:conversation", { detail: { conversation: open } }));
  }
  if (kept && kept !== answered)
    document.dispatchEvent(new CustomEvent("refdesk:answered"));
  answered = kept;
}

function settle() {
  coming = null;
  refdesk.name(open);
  if (refdesk.place.exchange) requestAnimationFrame(() => scrollTo(refdesk.place.exchange));
}

new MutationObserver(look).observe(document.getElementById("rd-left"), { childList: true, subtree: true });
document.addEventListener("refdesk:place", ({ detail: before }) => before.since === refdesk.place.since || reach());
document.addEventListener("click", (event) => {
  if (!event.target.closest("#rd-new") || coming === "") return;
  coming = open ? "" : null;
  refdesk.go({ view: "chat", conversation: "" });
});

// What the library holds has changed

document.addEventListener("refdesk:library", () => trigger("renew"));

// The list of conversations: a column, on a phone a drawer

const main = document.getElementById("rd-main");
const narrow = matchMedia("(max-width: 1080px)");
const opener = document.querySelector("[data-act=menu]");

function toggleMenu() {
  if (!narrow.matches) main.classList.toggle("rd-wide");
  else if (refdesk.layer("menu")) refdesk.uncover("menu");
  else refdesk.cover("menu");
  showMenu();
}

function showMenu() {
  const on = Boolean(refdesk.layer("menu"));
  if (!on && main.classList.contains("rd-menu") && document.activeElement.closest("#rd-nav")) opener.focus();
  main.classList.toggle("rd-menu", on);
  opener.setAttribute("aria-expanded", String(narrow.matches ? on : !main.classList.contains("rd-wide")));
}
showMenu();
document.addEventListener("refdesk:place", showMenu);
document.addEventListener("click", (event) => {
  if (refdesk.layer("menu") && !event.target.closest("#rd-nav, [data-act=menu]")) refdesk.uncover("menu");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || settings.hidden) return;
  setSettings(false);
  summary.focus();
});
