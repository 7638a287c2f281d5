// Sets the colours before the page is painted: the person's choice, or that of the system.
// This is a plain script in the head, because a module would run after the first paint.

{
  const root = document.documentElement;
  const stored = localStorage.getItem("theme");
  if (stored === "dark" || stored === "light") root.dataset.theme = stored;

  document.addEventListener("DOMContentLoaded", () => {
    const current = document.querySelector("nav [aria-current]");
    if (current) current.parentElement.scrollLeft = current.offsetLeft - innerWidth / 3;
    document.getElementById("switch-theme").addEventListener("click", () => {
      const isDark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = isDark ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
    });
  });
}
