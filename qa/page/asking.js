// Runs once, as the body of a function (element, trigger, …) of the gr.HTML above the question box: everything around a
// question but typing it. The server renders answers; this asks again, copies, and keeps what a question is asked with.

const log = () => document.querySelector("#rd-transcript .rd-log");
const box = () => document.querySelector("#rd-ask textarea");
const settings = document.getElementById("rd-settings");
const summary = element.querySelector("[data-act=settings]");
const chip = element.querySelector(".rd-chip");
const KEPT = "refdesk-settings"; // what the next visit starts with
const DRAFT = "refdesk-draft";
const LAST = 2 ** 31; // a number above that of any exchange: nothing is replaced
let again = null; // the exchange that the settings are chosen for, if it is one

const place = (shown) => ({ number: Number(shown.dataset.number), exchange: shown.dataset.exchange });

function ask(question, { number = LAST, alone = false, ...others } = {}) {
  if (!question.trim()) return;
  refdesk.show("chat");
  trigger("again", { number, question, alone, ...others });
  refdesk.awaitResult();
}

function type(question) {
  box().value = question;
  box().dispatchEvent(new Event("input", { bubbles: true }));
}

// A question that is not asked yet outlives a reload: Gradio reloads the page when its server has come back.
addEventListener("pagehide", () => {
  try {
    sessionStorage.setItem(DRAFT, box().value);
  } catch {
    // a browser that keeps nothing
  }
});
setTimeout(() => {
  try {
    const draft = sessionStorage.getItem(DRAFT);
    sessionStorage.removeItem(DRAFT);
    if (draft && !box().value) type(draft);
  } catch {
    // the same
  }
});

// What the next question is asked with

function said(name, value) {
  return settings.querySelector(`[name=${name}][value="${value}"]`)?.closest("label").textContent.trim();
}

function showScope() {
  const { sources, k, by } = refdesk.scope;
  chip.hidden = !sources.length;
  const [first] = sources;
  chip.querySelector("bdi").textContent = sources.length > 1 ? `${sources.length} documents or folders` : (first || "");
  chip.title = sources.slice(0, 20).join("\n");
  summary.textContent = `${said("k", k)}, ${said("by", by).toLowerCase()}`;
  for (const [name, value] of [["k", k], ["by", by]]) settings.querySelector(`[name=${name}][value="${value}"]`).checked = true;
}

function setSettings(open, exchange = null) {
  again = exchange;
  settings.hidden = !open;
  summary.setAttribute("aria-expanded", String(open));
  settings.querySelector("[type=submit]").textContent = exchange ? "Ask again" : "Done";
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
