// What the scripts of the page's parts share. It stands in the page's head, so that it is there before any of them.

window.refdesk = {
  BEGINNING: "#rd-mark, .rd-about h2[tabindex]", // where one reads a document: at its quote, else at its title
  phone: matchMedia("(max-width: 860px)"),

  // Everything that stands for a citation.
  citing(id) {
    return document.querySelectorAll(`[data-cite~="${CSS.escape(id)}"]`);
  },

  // What the next question is asked with: only these sources (globs), so many passages, how they are found.
  scope: { sources: [], k: 5, by: "both" },

  // What the server hears of it with each question, and which conversation it belongs to.
  asked() {
    const conversation = document.querySelector("#rd-transcript .rd-log")?.dataset.conversation || "";
    return JSON.stringify({ ...this.scope, conversation });
  },

  setScope(changes) {
    Object.assign(this.scope, changes);
    document.dispatchEvent(new CustomEvent("refdesk:scope", { detail: this.scope }));
  },

  // Where the visitor is: the view in the middle ("chat", "documents" or "evaluation"), the conversation ("" for one that
  // is not kept), and what lies over the view: "sources" (on a phone), a "document", its "picture" enlarged, or the
  // "menu" (the list of conversations on a narrow page), which goes before anything else comes.
  place: null,

  get view() {
    return this.place.view;
  },

  show(view) {
    if (view !== this.view) this.go({ view });
  },

  // Another place is a step that the browser's Back undoes.
  go({ view = this.place.view, conversation = this.place.conversation, exchange = "" }) {
    this.uncover("menu");
    const before = this.place;
    if (view === before.view && conversation === before.conversation) return;
    const at = before.at + 1;
    const since = conversation === before.conversation ? before.since : at;
    places.arrive(places.write({ view, conversation, exchange, since, at, layers: [] }));
  },

  // The conversation in view has got its id, or there is none: that is no step.
  name(conversation) {
    if (conversation !== this.place.conversation)
      this.place = places.write({ ...this.place, conversation, exchange: "" }, { replace: true });
  },

  layer(kind) {
    return this.place.layers.find((layer) => layer.kind === kind);
  },

  // Put something over the view. One of a kind takes the place of the other; with `replace` that is no step.
  cover(kind, id = "", { replace = false } = {}) {
    if (kind !== "menu") this.uncover("menu");
    const { layers, at: here } = this.place;
    const old = layers.findIndex((layer) => layer.kind === kind);
    if (old >= 0 && layers[old].id === id) return;
    const at = here + (replace ? 0 : 1);
    const layer = { kind, id, at: old < 0 ? at : layers[old].at };
    const below = old < 0 ? layers : layers.slice(0, old);
    places.arrive(places.write({ ...this.place, at, layers: [...below, layer] }, { replace }));
  },

  // Take it away, with what lies over it; without a kind all of it. It is what Back would have done.
  uncover(kind) {
    const { layers } = this.place;
    const from = kind ? layers.findIndex((layer) => layer.kind === kind) : 0;
    if (!layers[from]) return;
    places.arrive(places.back({ ...this.place, at: layers[from].at - 1, layers: layers.slice(0, from) }));
  },

  // To be called when all parts of the page are there.
  start() {
    places.arrive(this.place, places.first());
  },

  // The answer of a path below api/ as an object; what the server has to say instead is an Error's message.
  async api(path, { method = "GET", json, body, signal } = {}) {
    const headers = json === undefined ? {} : { "content-type": "application/json" };
    let response;
    try {
      response = await fetch(`api/${path}`, {
        method, headers, signal, body: json === undefined ? body : JSON.stringify(json),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("Nobody answers: check that Refdesk still runs.");
    }
    const text = await response.text();
    if (!response.ok) {
      let said = text;
      try {
        said = JSON.parse(text).error || text;
      } catch {
        // the door's refusals are plain text
      }
      throw new Error(said || `The server answers with ${response.status}.`);
    }
    return text ? JSON.parse(text) : null;
  },

  // One line for those who listen to the page.
  announce(text) {
    let live = document.getElementById("rd-live");
    if (!live) {
      live = document.createElement("p");
      live.id = "rd-live";
      live.className = "rd-hidden";
      live.setAttribute("role", "status");
      document.getElementById("rd-page").append(live);
    }
    live.textContent = "";
    requestAnimationFrame(() => (live.textContent = text));
  },
};

// The places in the browser's history. Each entry holds its place; `at` counts them, `since` is the one where the
// conversation began, whatever id it got later.
const places = {
  ADDRESS: /^#\/c\/([\w-]+)(?:\/([\w-]+))?$/,
  leaving: null, // the place that the browser is on its way back to
  waiting: [], // what is to be done when it is there

  first() {
    return { view: "chat", conversation: "", exchange: "", since: -1, at: 0, layers: [] };
  },

  // The place of an address, in the entry `at`.
  read(at) {
    const [, conversation = "", exchange = ""] = location.hash.match(this.ADDRESS) || [];
    return { ...this.first(), conversation, exchange, since: at, at };
  },

  write(place, { replace = false } = {}) {
    const address = place.conversation ? `#/c/${place.conversation}` : location.pathname + location.search;
    this.inTurn(() => history[replace ? "replaceState" : "pushState"]({ refdesk: place }, "", address));
    return place;
  },

  back(place) {
    const steps = refdesk.place.at - place.at;
    this.inTurn(() => {
      this.leaving = place;
      history.go(-steps);
    });
    return place;
  },

  // The browser goes back when it likes to, so that what comes meanwhile has to wait.
  inTurn(work) {
    if (this.leaving) this.waiting.push(work);
    else work();
  },

  arrive(place, before = refdesk.place) {
    refdesk.place = place;
    if (place.view !== before.view) {
      document.getElementById("rd-page").dataset.view = place.view;
      document.dispatchEvent(new CustomEvent("refdesk:view", { detail: place.view }));
    }
    document.dispatchEvent(new CustomEvent("refdesk:place", { detail: before }));
  },

  moved({ state }) {
    const to = state?.refdesk;
    const left = this.leaving;
    this.leaving = null;
    if (left && to?.at === left.at) this.write(left, { replace: true });
    else if (!to) this.arrive(this.write(this.read(refdesk.place.at + 1), { replace: true })); // an address was typed
    else if (to.since !== refdesk.place.since) this.arrive(to);
    else this.arrive(this.write({ ...to, conversation: refdesk.place.conversation }, { replace: true }));
    while (this.waiting.length && !this.leaving) this.waiting.shift()();
  },
};

refdesk.place = history.state?.refdesk || places.write(places.read(0), { replace: true });
addEventListener("popstate", (event) => places.moved(event));
