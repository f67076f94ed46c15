// Runs once, as the body of a function (element, trigger, …) of the gr.HTML in the left column: the visitor's own
// conversations, and what they think of answers. Titles and notes are put in as text, never as HTML.

const SEARCHED_FROM = 10; // conversations; fewer are seen at a glance
const PAUSE = 200; // after the last key, before a search
const LONGEST_TITLE = 200;
const LONGEST_NOTE = 2000;

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The list

const search = make("input", {
  type: "search", class: "rd-talk-search", placeholder: "Search conversations", "aria-label": "Search conversations",
  maxlength: 200, autocomplete: "off",
});
const list = make("div", { class: "rd-talk-list" });
const line = make("p", { class: "rd-talk-said", role: "status" });
const end = make("div", { class: "rd-talk-end" });
const menu = make("div", { class: "rd-talk-menu", role: "menu", popover: "auto", "aria-label": "Conversation" });
element.append(make("nav", { class: "rd-talks", "aria-label": "Conversations" }, search, line, list, end, menu));

let talks = []; // as the server tells them, the last one first
let more = false; // are there older ones?
let open = ""; // the one in view
let loads = 0; // numbers the requests, so that only the last one's answer counts
let editing = false; // is a title being changed, or a question asked about one?

// At least `count` conversations, where there are so many.
async function load(count = talks.length) {
  loads += 1;
  const load = loads;
  const query = encodeURIComponent(search.value.trim());
  const found = [];
  let page;
  try {
    do {
      page = await refdesk.api(`conversations?q=${query}&offset=${found.length}`);
      found.push(...page.conversations);
    } while (page.more && found.length < count);
  } catch (error) {
    if (load === loads) line.textContent = error.message;
    return;
  }
  if (load !== loads) return;
  talks = found;
  more = page.more;
  const none = query ? "No conversation has these words." : "No conversations yet.";
  line.textContent = page.kept ? (found.length ? "" : none) : "Conversations are not kept here.";
  search.hidden = !query && found.length <= SEARCHED_FROM;
  if (!editing) show();
}

function day(talk) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const updated = new Date(talk.updated);
  if (updated >= midnight) return "Today";
  midnight.setDate(midnight.getDate() - 1);
  return updated >= midnight ? "Yesterday" : "Earlier";
}

function show() {
  const held = document.activeElement?.closest?.(".rd-talk");
  const [id, kind] = [held?.dataset.conversation, document.activeElement?.className];
  const groups = Map.groupBy ? Map.groupBy(talks, day) : grouped(talks, day);
  const parts = [...groups].flatMap(([label, some], number) => [
    make("h2", { class: "rd-talk-day", id: `rd-talk-day-${number}` }, label),
    make("ul", { "aria-labelledby": `rd-talk-day-${number}` }, ...some.map(row)),
  ]);
  if (more) parts.push(make("button", { type: "button", class: "rd-talk-quiet", "data-talk": "older" }, "Show older"));
  list.replaceChildren(...parts);
  const all = make("button", { type: "button", class: "rd-talk-quiet", "data-talk": "all" }, "Delete all");
  end.replaceChildren(...(talks.length && !search.value.trim() ? [all] : []));
  mark();
  if (id) rowOf(id)?.querySelector(`[class="${kind}"]`)?.focus();
}

function grouped(all, keyOf) {
  const groups = new Map();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) || []), one]);
  return groups;
}

function row(talk) {
  const title = { class: "rd-talk-title", href: `#/c/${talk.id}`, dir: "auto", title: talk.title };
  const options = {
    type: "button", class: "rd-talk-more", "aria-label": `Options for ${talk.title}`, "aria-haspopup": "menu",
    "aria-expanded": "false",
  };
  const button = make("button", options);
  button.popoverTargetElement = menu; // a click on it is none beside the menu, which would close it
  return make("li", { class: "rd-talk", "data-conversation": talk.id }, make("a", title, talk.title), button);
}

const rowOf = (id) => list.querySelector(`.rd-talk[data-conversation="${CSS.escape(id)}"]`);
const talkOf = (shown) => talks.find((talk) => talk.id === shown.dataset.conversation);

function mark() {
  for (const link of list.querySelectorAll(".rd-talk-title"))
    if (link.parentElement.dataset.conversation === open) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
}

let searching = null;
search.addEventListener("input", () => {
  clearTimeout(searching);
  searching = setTimeout(load, PAUSE, 0);
});

document.addEventListener("refdesk:answered", () => load());
document.addEventListener("refdesk:conversation", (event) => {
  open = event.detail.conversation;
  mark();
  if (open && !rowOf(open)) load();
});
load();

element.addEventListener("click", (event) => {
  const link = event.target.closest(".rd-talk-title");
  const button = event.target.closest(".rd-talk-more");
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey; // else the browser opens it apart
  if (link && plain) {
    event.preventDefault();
    refdesk.open(talkOf(link.parentElement).id);
  }
  if (button) {
    event.preventDefault(); // the browser would open the menu later, when the next key may have been pressed already
    toggleMenu(button);
  }
  const pressed = event.target.closest("[data-talk]")?.dataset.talk;
  if (pressed === "older") load(talks.length + 1);
  if (pressed === "all") askAll();
});

// A row's menu

let owner = null; // the button whose menu is open

function toggleMenu(button) {
  const opened = menu.matches(":popover-open");
  if (opened) menu.hidePopover();
  owner?.setAttribute("aria-expanded", "false");
  if (opened && owner === button) return;
  owner = button;
  fillMenu(button);
  menu.showPopover();
  button.setAttribute("aria-expanded", "true");
  menu.firstChild.focus();
}

function fillMenu(button) {
  const shown = button.parentElement;
  const talk = talkOf(shown);
  const act = (label, run, kind = "") => {
    const item = make("button", { type: "button", role: "menuitem", tabindex: "-1", class: `rd-talk-item ${kind}` }, label);
    item.addEventListener("click", () => {
      menu.hidePopover();
      run();
    });
    return item;
  };
  const download = (label, form) => {
    const href = `api/conversations/${talk.id}/export.${form}`;
    const item = make("a", { role: "menuitem", tabindex: "-1", class: "rd-talk-item", href, download: "" }, label);
    item.addEventListener("click", () => menu.hidePopover());
    return item;
  };
  menu.replaceChildren(
    act("Rename", () => rename(shown, talk)),
    act("Copy link", () => copyLink(talk)),
    download("Export as Markdown", "md"),
    download("Export as JSON", "json"),
    act("Delete", () => askDelete(shown, talk), "rd-talk-danger"),
  );
  const at = button.getBoundingClientRect();
  const below = at.bottom < innerHeight / 2;
  menu.style.left = `${Math.min(at.left, innerWidth - 212)}px`;
  menu.style.top = below ? `${at.bottom + 4}px` : "auto";
  menu.style.bottom = below ? "auto" : `${innerHeight - at.top + 4}px`;
}

menu.addEventListener("toggle", (event) => {
  if (event.newState === "closed") owner.setAttribute("aria-expanded", "false");
});

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    items[to % items.length].focus();
  }
  if (event.key === "Tab") menu.hidePopover(); // the focus goes back to its button, and on from there
  if (event.key === "Escape") event.stopPropagation(); // the browser closes it, and nothing else is closed
});

async function copyLink(talk) {
  const address = new URL(`#/c/${talk.id}`, location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    say("Link copied.");
  } catch {
    say(address); // without a secure connection there is no clipboard
  }
}

let silence = null;
function say(text) {
  clearTimeout(silence);
  line.textContent = text;
  silence = setTimeout(() => (line.textContent = ""), 6000);
}

// Something in the place of a row or of the last button, until `leave` is called.
function edit(place, inner) {
  editing = true;
  place.replaceChildren(inner);
  inner.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation();
    leave(place.dataset.conversation);
  });
}

function leave(id) {
  editing = false;
  show();
  (id ? rowOf(id)?.querySelector(".rd-talk-title") : end.firstChild)?.focus();
}

function rename(shown, talk) {
  const input = make("input", { class: "rd-talk-name", maxlength: LONGEST_TITLE, "aria-label": "Title", dir: "auto" });
  input.value = talk.title;
  const form = make("form", {}, input);
  edit(shown, form);
  input.select();
  let sent = false;
  const save = async ({ stay }) => {
    const title = input.value.trim();
    if (sent || !editing) return; // what is taken away loses the focus, too
    sent = true;
    if (title && title !== talk.title) {
      try {
        await refdesk.api(`conversations/${talk.id}`, { method: "PATCH", json: { title } });
        talk.title = title;
        load();
      } catch (error) {
        say(error.message);
      }
    }
    if (stay) leave(talk.id);
    else {
      editing = false;
      show();
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save({ stay: true });
  });
  input.addEventListener("blur", () => save({ stay: false }));
}

// A question with two answers, in the place of what it is about.
function question(text, yes, run, id) {
  const form = make("form", { class: "rd-talk-sure" }, make("p", {}, text));
  const no = make("button", { type: "button", class: "rd-talk-no" }, "Keep");
  form.append(make("button", { type: "submit", class: "rd-talk-yes" }, yes), no);
  no.addEventListener("click", () => leave(id));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await run();
    } catch (error) {
      say(error.message);
    }
    if (editing) leave(id);
  });
  return [form, no];
}

function askDelete(shown, talk) {
  const [form, no] = question("Delete this conversation?", "Delete", async () => {
    await refdesk.api(`conversations/${talk.id}`, { method: "DELETE" });
    const at = talks.indexOf(talk);
    talks = talks.filter((one) => one !== talk);
    left(talk.id, talks[Math.min(at, talks.length - 1)]?.id);
  }, talk.id);
  edit(shown, form);
  no.focus();
}

function askAll() {
  const [form, no] = question("Delete all conversations?", "Delete all", async () => {
    await refdesk.api("conversations", { method: "DELETE" });
    talks = [];
    more = false;
    left(open);
  });
  edit(end, form);
  no.focus();
}

// What is deleted is gone from the view in the middle, too.
function left(id, next) {
  leave(next);
  load();
  refdesk.announce("Deleted");
  if (open && id === open) document.getElementById("rd-new").click();
}

// What an answer is worth. The server renders an answer once, so that what is said of it since then is kept here.

const ratings = new Map(); // by the exchange's id
let aside = null; // what stands below the answer that was rated last: { exchange, node }

const boxOf = (id) => document.querySelector(`.rd-rate[data-exchange="${CSS.escape(id)}"]`);
const ratingOf = (box) => Number(box.querySelector("[aria-pressed=true]")?.dataset.rate || 0);

function press(box, rating) {
  for (const button of box.querySelectorAll("[data-rate]"))
    button.setAttribute("aria-pressed", String(rating !== 0 && Number(button.dataset.rate) === rating));
}

function keep() {
  for (const box of document.querySelectorAll(".rd-rate"))
    if (ratings.has(box.dataset.exchange)) press(box, ratings.get(box.dataset.exchange));
  const box = aside && boxOf(aside.exchange);
  if (!box) return;
  const above = box.closest(".rd-actions") || box;
  if (above.nextElementSibling !== aside.node) above.after(aside.node);
}
new MutationObserver(keep).observe(document.getElementById("rd-main"), { childList: true, subtree: true });

function put(exchange, node) {
  aside?.node.remove();
  aside = node && { exchange, node };
  keep();
}

async function rate(box, rating) {
  const exchange = box.dataset.exchange;
  const before = ratingOf(box);
  const set = (value) => {
    ratings.set(exchange, value);
    keep();
  };
  set(rating);
  put(exchange, rating ? note(exchange, rating) : null);
  try {
    await refdesk.api(`exchanges/${exchange}/rating`, { method: "POST", json: { rating } });
    refdesk.announce(rating ? "Rated. A note can follow." : "Rating taken back");
  } catch (error) {
    set(before);
    put(exchange, make("p", { class: "rd-thanks rd-failure" }, error.message));
  }
}

function note(exchange, rating) {
  const asked = rating > 0 ? "What was good? (optional)" : "What was wrong or missing? (optional)";
  const area = make("textarea", { rows: 2, maxlength: LONGEST_NOTE, "aria-label": asked, placeholder: asked, dir: "auto" });
  const send = make("button", { type: "submit", class: "rd-button" }, "Send");
  const skip = make("button", { type: "button", class: "rd-button" }, "Skip");
  const form = make("form", { class: "rd-note" }, area, make("div", {}, send, skip));
  const close = (node) => {
    put(exchange, node);
    boxOf(exchange)?.querySelector("[aria-pressed=true]")?.focus();
  };
  skip.addEventListener("click", () => close(null));
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation();
    close(null);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!area.value.trim()) return close(null);
    try {
      const json = { rating, note: area.value };
      await refdesk.api(`exchanges/${exchange}/rating`, { method: "POST", json });
      close(make("p", { class: "rd-thanks" }, "Thanks, your note is kept."));
      refdesk.announce("Thanks, your note is kept.");
    } catch (error) {
      form.querySelector(".rd-failure")?.remove();
      form.append(make("p", { class: "rd-failure", role: "alert" }, error.message));
    }
  });
  return form;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".rd-rate [data-rate]");
  if (!button) return;
  const pressed = button.getAttribute("aria-pressed") === "true";
  rate(button.closest(".rd-rate"), pressed ? 0 : Number(button.dataset.rate));
});
