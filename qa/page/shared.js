// What the scripts of the page's parts share. It stands in the page's head, so that it is there before any of them.

window.refdesk = {
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

  // The view in the middle: "chat", "documents" or "evaluation".
  view: "chat",

  show(view) {
    if (view === this.view) return;
    this.view = view;
    document.getElementById("rd-page").dataset.view = view;
    document.getElementById("rd-main").classList.remove("rd-reading", "rd-sheet", "rd-menu");
    document.dispatchEvent(new CustomEvent("refdesk:view", { detail: view }));
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
