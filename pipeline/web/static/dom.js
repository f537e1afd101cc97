// Elements without HTML: whatever comes from documents goes in as text.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

export function replace(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child));
}

export function failure(error) {
  const parts = [el("p", {}, el("strong", {}, error.message.split("\n")[0]))];
  if (error.hint) parts.push(el("p", {}, error.hint));
  return el("div", { class: "error", role: "alert" }, ...parts);
}

export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) { bytes /= 1000; at += 1; }
  return `${bytes.toLocaleString("en", { maximumFractionDigits: bytes < 10 && at ? 1 : 0 })} ${units[at]}`;
}

export function when(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

let dialogs = 0;

export function confirmed(question, detail, action) {
  // Resolves to whether the person agreed.
  return new Promise((resolve) => {
    const title = el("h2", { id: `dialog-${(dialogs += 1)}` }, question);
    const dialog = el("dialog", { "aria-labelledby": title.id, class: "stack" },
      el("div", { class: "stack" }, title, el("p", { class: "muted" }, detail),
        el("div", { class: "row" },
          el("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, action),
          el("button", { type: "button", class: "quiet", autofocus: true, onclick: () => dialog.close("") }, "Keep"))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
