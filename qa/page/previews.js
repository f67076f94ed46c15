// What a marker stands for, shown beside it without leaving the answer; a marker and its card light up together. It
// stands in the page's head.
{
  const PAUSE = 220; // of the pointer, before a preview
  const LONGEST = 280; // characters of a quote
  const peek = document.createElement("div");
  peek.id = "rd-peek";
  peek.hidden = true;
  peek.setAttribute("aria-hidden", "true");
  let peeking = null;

  function show(marker) {
    const cited = CSS.escape(marker.dataset.cite);
    const card = document.querySelector(`#rd-panel .rd-card[data-cite~="${cited}"]`);
    if (!card) return;
    const quote = card.querySelector(`mark[data-cite="${cited}"]`)?.textContent;
    peek.replaceChildren(card.querySelector(".rd-title").cloneNode(true), card.querySelector(".rd-place").cloneNode(true));
    peek.firstChild.removeAttribute("href");
    if (quote) {
      const said = document.createElement("p");
      said.dir = "auto";
      said.textContent = quote.length > LONGEST ? `${quote.slice(0, LONGEST)}…` : quote;
      peek.append(said);
    }
    document.getElementById("rd-page").append(peek);
    peek.hidden = false;
    const at = marker.getBoundingClientRect();
    const column = document.getElementById("rd-left").getBoundingClientRect(); // beside it are the cards
    const left = Math.min(Math.max(column.left + 12, at.left - 20), column.right - peek.offsetWidth - 12);
    const above = at.top - peek.offsetHeight - 8;
    peek.style.left = `${left}px`;
    peek.style.top = `${above > 8 ? above : at.bottom + 8}px`;
  }

  function hide() {
    clearTimeout(peeking);
    peek.hidden = true;
  }

  for (const kind of ["mouseover", "focusin"])
    document.addEventListener(kind, (event) => {
      const marker = event.target.closest?.(".rd-marker");
      hide();
      if (marker && !refdesk.phone.matches) peeking = setTimeout(show, PAUSE, marker);
    });
  for (const kind of ["click", "keydown", "wheel"]) document.addEventListener(kind, hide, { passive: true });

  function light({ type, target }) {
    const on = type === "mouseover" || type === "focusin";
    for (const id of target.closest?.("[data-cite]")?.dataset.cite.split(" ") || [])
      for (const one of refdesk.citing(id)) one.classList.toggle("rd-lit", on);
  }
  for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) document.addEventListener(kind, light);
}
