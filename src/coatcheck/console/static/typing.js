// What is typed and not sent yet: secrets that nobody reads over a shoulder, drafts that are not left by mistake.
// Every form works without it.
(() => {
  "use strict";

  // ---------- Secrets ----------
  function unmask(button, shown) {
    document.getElementById(button.dataset.unmask)?.classList.toggle("masked-shown", shown);
    button.setAttribute("aria-pressed", String(shown));
    button.textContent = shown ? "Hide" : "Show";
  }

  // Most secrets have one line: Enter sends it, as in any field of one line.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches?.("[data-masked]")) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  });

  // ---------- A text as a file ----------
  function download(button) {
    const address = URL.createObjectURL(new Blob([document.getElementById(button.dataset.download).value], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // ---------- Drafts ----------
  // `data-guard` is "changed" once something was; fields that only look at the draft are named in `data-looks`.
  let sending = null;

  function noteChange(event) {
    const form = event.target.form;
    if (!form?.matches("[data-guard]") || !event.target.name) return;
    if (!(form.dataset.looks ?? "").split(" ").includes(event.target.name)) form.dataset.guard = "changed";
  }

  document.addEventListener("input", noteChange);
  document.addEventListener("change", noteChange);
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    sending = event.target;
    // The page asks before it is left, or not at all: a moment later it is still here, as after a download.
    setTimeout(() => (sending = null), 1000);
  });
  window.addEventListener("beforeunload", (event) => {
    const draft = document.querySelector('[data-guard="changed"]');
    if (draft && draft !== sending) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const shower = event.target.closest("[data-unmask]");
    const saver = event.target.closest("[data-download]");
    if (shower) unmask(shower, shower.getAttribute("aria-pressed") !== "true");
    if (saver) download(saver);
  });
})();
