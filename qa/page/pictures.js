// A PDF's pages as pictures, beside the text of an open document and enlarged. It stands in the page's head; the reader
// calls `refdesk.pictures` for the document that it shows.
{
  const LARGE = 2000; // pixels of the enlarged picture's width
  const READABLE = 700; // of a page of small print
  const WIDTHS = [380, 700, 1000, 1500, 2000, 3000]; // it can be shown at

  let lastView = "page"; // what was looked at last is what the next citation shows

  // The cited page. It comes by itself unless somebody has begun to read the text.
  async function load(pane, views) {
    let touched = false;
    const touch = () => (touched = true);
    for (const kind of ["wheel", "pointerdown", "keydown"]) pane.addEventListener(kind, touch, { once: true });
    try {
      const picture = await drawn(pane, views);
      if (!pane.isConnected) return;
      if (!picture.boxed && pane.querySelector("#rd-mark")) picture.alt += "; the quoted words could not be located on it";
      pane.querySelector(".rd-text").before(picture);
      setTurns(pane);
      if (picture.boxed && !touched && lastView === "page") show(pane, "page");
      enlarge();
    } catch (error) {
      views.replaceWith(note(error.message)); // the text is there; what keeps the picture away is nothing more
    }
  }

  // A page as a picture that is ready to be shown: the cited one, or that of a number.
  async function drawn(pane, views, number = 0) {
    const path = `citations/${encodeURIComponent(views.dataset.picture)}`;
    const query = number ? `&page=${number}` : "";
    const width = Math.min(1600, Math.round(pane.clientWidth * Math.min(devicePixelRatio, 2)));
    const page = await refdesk.api(`${path}/page.json?width=${width}${query}`);
    if (!page.width) throw new Error(page.note);
    const picture = new Image();
    const [corner] = page.boxes;
    picture.className = "rd-picture";
    picture.tabIndex = -1;
    picture.boxed = Boolean(corner);
    picture.alt = `Page ${page.page} of ${page.pages}${corner ? ", the quoted words boxed" : ""}`;
    picture.src = `api/${path}/page.png?width=${width}${query}`;
    Object.assign(picture.dataset, {
      page: page.page,
      pages: page.pages,
      large: `api/${path}/page.png?width=${LARGE}${query}`,
      left: corner ? corner.left : 0,
      top: corner ? Math.min(...page.boxes.map((box) => box.top)) : 0,
    });
    await picture.decode();
    return picture;
  }

  let turning = 0; // numbers the turns, so that only the last one's page is shown

  // From page to page of the document.
  async function turn(pane, by) {
    const before = pane.querySelector(".rd-picture");
    const number = Number(pane.querySelector(".rd-turns").dataset.page) + by;
    if (number < 1 || number > Number(before.dataset.pages)) return;
    turning += 1;
    const own = turning;
    setTurns(pane, number);
    try {
      const picture = await drawn(pane, pane.querySelector(".rd-views"), number);
      if (own !== turning || !pane.isConnected) return;
      const held = document.activeElement === before;
      before.replaceWith(picture);
      scrollTo(pane, picture);
      if (held) picture.focus({ preventScroll: true });
      refdesk.announce(picture.alt);
    } catch (error) {
      if (own === turning) setTurns(pane, Number(before.dataset.page), error.message);
    }
  }

  function setTurns(pane, number = Number(pane.querySelector(".rd-picture").dataset.page), said = "") {
    const turns = pane.querySelector(".rd-turns");
    const pages = Number(pane.querySelector(".rd-picture").dataset.pages);
    turns.hidden = pages < 2;
    turns.dataset.page = number;
    turns.querySelector(".rd-turn-at").textContent = said || `${number} of ${pages}`;
    for (const button of turns.querySelectorAll("[data-turn]")) {
      const last = number === (button.dataset.turn === "1" ? pages : 1);
      if (last && document.activeElement === button) pane.querySelector(".rd-picture").focus({ preventScroll: true });
      button.disabled = last;
    }
  }

  function note(line) {
    const said = document.createElement("span");
    said.className = "rd-no-picture";
    said.textContent = line;
    return said;
  }

  // A document's "page" or its "text".
  function show(pane, view) {
    pane.dataset.view = view;
    for (const button of pane.querySelectorAll("[data-show]"))
      button.setAttribute("aria-pressed", String(button.dataset.show === view));
    const target = pane.querySelector(view === "page" ? ".rd-picture" : refdesk.BEGINNING);
    scrollTo(pane, target);
    target.focus({ preventScroll: true });
  }

  // Where the quoted words begin on a picture, or what else is to be read, below the head that stays at the top.
  function scrollTo(pane, target) {
    const top = target.offsetTop + target.offsetHeight * Number(target.dataset.top || 0);
    const about = pane.querySelector(".rd-about");
    const covered = parseFloat(getComputedStyle(about).top) + about.offsetHeight;
    pane.scrollTop = top - covered - Math.min(60, (pane.clientHeight - covered) / 4);
  }

  // Enlarged it lies over everything: a dialog of the browser's own, so that it keeps the focus and gives it back.
  const enlarged = document.createElement("dialog");
  enlarged.id = "rd-enlarged";
  enlarged.innerHTML = `
  <header><button type="button" data-zoom="-1" aria-label="Smaller"></button>
    <button type="button" data-zoom="1" aria-label="Larger"></button>
    <button type="button" class="rd-close" data-zoom="close" aria-label="Close"></button></header>
  <div role="region" aria-label="Page, enlarged" tabindex="0" autofocus></div>`;
  const frame = enlarged.querySelector("div");

  // Whether it is there is what the place says.
  function enlarge() {
    const on = Boolean(refdesk.layer("picture"));
    const id = refdesk.layer("document")?.id;
    const picture = id && document.querySelector(`.rd-document[data-opened="${CSS.escape(id)}"] .rd-picture`);
    if (!on && enlarged.open) enlarged.close();
    if (!on || enlarged.open || !picture) return;
    const large = new Image();
    large.alt = picture.alt;
    large.src = picture.src; // until the large one is there
    frame.replaceChildren(large);
    document.getElementById("rd-page").append(enlarged);
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

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-show]");
    if (button) {
      lastView = button.dataset.show;
      show(button.closest(".rd-document"), lastView);
    }
    if (target.closest("[data-enlarge], .rd-picture")) refdesk.cover("picture");
    const by = target.closest("[data-turn]")?.dataset.turn;
    if (by) turn(target.closest(".rd-document"), Number(by));
  });
  document.addEventListener("keydown", ({ key, target }) => {
    if (!target.matches(".rd-picture")) return;
    if (key === "Enter") refdesk.cover("picture");
    const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (by) turn(target.closest(".rd-document"), by);
  });

  refdesk.pictures = { load, enlarge };
}
