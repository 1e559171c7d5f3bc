// Elements of the page. Texts are only ever set as text: a name with markup in it stays a name.

export const byId = (id) => document.getElementById(id);

// Returns a new element. properties: set on it; "text" is its text, "class" its class, "aria" an object of ARIA
// attributes, and a name with "on" in front a listener.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else if (name === "aria") for (const [key, text] of Object.entries(value)) element.setAttribute(`aria-${key}`, text);
    else if (name === "role") element.setAttribute("role", value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

// Asks a question in a dialog, and resolves to the value of the chosen answer; null when it is closed.
export function ask(text, answers) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  return new Promise((resolve) => {
    let chosen = null;
    const buttons = answers.map(([label, value]) =>
      make("button", { type: "button", text: label, onclick: () => { chosen = value; dialog.close(); } }));
    byId("question-answers").replaceChildren(...buttons);
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
    dialog.showModal();
  });
}
