// Sets the chosen colours before anything is painted; the switch itself is in console.js.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("coatcheck-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    // Storage may be refused; then the system's colours hold.
  }
})();
