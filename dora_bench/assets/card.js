// The card behind a model's name: licence, data, who ran it, when, on what, and all settings.

function openCard(label) {
  const model = suite().models.find((one) => one.label === label), dialog = byId("card");
  const words = (fields) => Object.entries(fields).map(([key, value]) => `${key} ${value}`).join(", ");
  const facts = [["Kind", model.kind], ...Object.entries(model.card).map(([key, value]) => [key.charAt(0).toUpperCase() + key.slice(1), value]),
    ["Device", model.device], ["Weights", model.weights ? `sha256 ${model.weights}…` : ""], ["Settings", words(model.settings)],
    ["Network", words(model.config)], ["Versions", words(model.versions)]].filter(([, value]) => value);
  for (const wanted of ["Licence", "Data", "Run by"]) {
    if (model.kind !== "baseline" && !facts.some(([term]) => term === wanted)) facts.push([wanted, "not given"]);
  }
  dialog.replaceChildren(
    make("header", {}, make("h2", {}, swatch(label), " ", label), make("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    make("dl", {}, ...facts.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, ...linked(value))])));
  dialog.setAttribute("aria-label", `Model card of ${label}`);
  dialog.showModal();
}

/** Text with its web addresses as links. */
function linked(text) {
  return String(text).split(/(https?:\/\/\S+)/).map((part) => (/^https?:\/\//.test(part) ? make("a", { href: part, rel: "noopener" }, part) : part));
}

byId("card").addEventListener("click", (event) => { if (event.target === byId("card")) byId("card").close(); });

/** Marks a strip whose content runs on to the left or right, so that it shows. */
function watchOverflow(strip) {
  const inner = strip.firstElementChild;
  const look = () => {
    const room = inner.scrollWidth - inner.clientWidth;
    strip.toggleAttribute("data-before", room > 2 && inner.scrollLeft > 2);
    strip.toggleAttribute("data-after", room > 2 && inner.scrollLeft < room - 2);
  };
  inner.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(inner);
  new MutationObserver(look).observe(inner, { childList: true });
  strip.querySelector(".on")?.addEventListener("click", () => inner.scrollBy({ left: inner.clientWidth * 0.7, behavior: "smooth" }));
  look();
}
