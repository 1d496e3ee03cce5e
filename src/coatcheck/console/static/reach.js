// Whether the gateway answers: what a page asks for by itself, or when something is pressed, does not fail unseen.
// One notice on top of the page, text only; it goes with the next good answer.
(() => {
  "use strict";
  const probe = document.currentScript.src; // anybody may have it, and it costs the gateway nothing
  const unreached = new Set([502, 503, 504]); // what stands before the gateway answers in its place
  const every = 3000;
  let notice = null;
  let asking = null;
  let kind = "";

  function show(why, text, link) {
    if (kind === why) return;
    clear();
    kind = why;
    notice = document.createElement("p");
    notice.className = "said-line said-warn out-of-reach";
    notice.setAttribute("role", "alert");
    notice.append(text);
    if (link) notice.append(" ", link);
    document.getElementById("main")?.prepend(notice);
  }

  function clear() {
    notice?.remove();
    clearTimeout(asking);
    notice = asking = null;
    kind = "";
  }

  // ---------- No answer ----------
  function away() {
    show("away", "The gateway does not answer. What you see may be old, and nothing you press is done. This goes away when it answers again.");
    asking ??= setTimeout(look, every);
  }

  // A page without live parts asks nothing by itself, so this asks for it.
  async function look() {
    asking = null;
    try {
      const answer = await fetch(probe, { cache: "no-store" });
      if (unreached.has(answer.status)) away();
      else if (kind === "away") clear();
    } catch {
      away();
    }
  }

  // ---------- Signed out ----------
  function signedOut(page) {
    const link = document.createElement("a");
    link.href = `${page}?back=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in again";
    show("out", "You are signed out.", link);
  }

  // Where an answer was led to, if that is where one signs in and this page is another.
  function ledTo(xhr) {
    const page = xhr.responseURL ? new URL(xhr.responseURL).pathname : "";
    return page.startsWith("/login") && page !== location.pathname ? page : "";
  }

  // That page is no part of this one: the part that asked would be gone.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (ledTo(event.detail.xhr)) event.detail.shouldSwap = false;
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, successful, requestConfig } = event.detail;
    const page = ledTo(xhr) || (xhr.status === 401 ? "/login" : "");
    if (xhr.status === 0) return; // not sent, too late, or replaced: told below, or nothing
    if (page) signedOut(page);
    else if (unreached.has(xhr.status)) away();
    else if (successful) clear();
    else if (!requestConfig.elt.matches("[data-live]")) show("refused", `This did not work: the gateway answered ${xhr.status}. Load the page again.`);
  });
  document.addEventListener("htmx:sendError", away);
  document.addEventListener("htmx:timeout", away);
})();
