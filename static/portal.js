// The portal's only script. It makes pages more comfortable; every journey also finishes without it.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const element = (tag, properties) => Object.assign(document.createElement(tag), properties);

  // One act, one request: a second press of the same form is dropped until the page is shown again. A form whose
  // answer is a download leaves the page standing and says so with data-again.
  const sent = new WeakSet();
  const buttons = (form) => all("button:not([type=button]), input[type=submit]", form);
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || "again" in form.dataset) return;
    if (sent.has(form)) {
      event.preventDefault();
      return;
    }
    if (all("input[type=file][data-limit]", form).some(tooLarge)) {
      event.preventDefault();
      form.querySelector("input[type=file][aria-invalid=true]").focus();
      return;
    }
    sent.add(form);
    if ("signOut" in form.dataset) forgetDrafts(() => true);
    else markDrafts(form);
    // After this turn, or the pressed button's own value would not be sent.
    setTimeout(() => buttons(form).forEach((button) => button.setAttribute("aria-disabled", "true")));
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.forms) {
      sent.delete(form);
      buttons(form).forEach((button) => button.removeAttribute("aria-disabled"));
    }
  });

  // A file above the limit is named at its field before it is sent.
  function tooLarge(input) {
    const wrong = [...input.files].some((file) => file.size > Number(input.dataset.limit));
    const id = `${input.id}-size`;
    document.getElementById(id)?.remove();
    const described = (input.getAttribute("aria-describedby") || "").split(" ").filter((part) => part && part !== id);
    if (wrong) {
      input.before(element("p", { id, className: "error-message", textContent: input.dataset.limitMessage }));
      described.push(id);
    }
    input.closest(".field")?.classList.toggle("wrong", wrong);
    if (wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (described.length) input.setAttribute("aria-describedby", described.join(" "));
    else input.removeAttribute("aria-describedby");
    return wrong;
  }
  all("input[type=file][data-limit]").forEach((input) => input.addEventListener("change", () => tooLarge(input)));

  // Text typed and not sent survives a lost session: kept per person, address and field in this tab only.
  // A draft goes when the server has thanked for the form it was sent with (a success message), or on sign-out.
  const mark = "draft:";
  const owner = document.body.dataset.person || "";
  const key = (area) => mark + [owner, location.pathname, area.form?.getAttribute("action") || "", area.name].join("|");
  const store = {
    read(name) {
      try { return JSON.parse(sessionStorage.getItem(name)); } catch { return null; }
    },
    write(name, value) {
      try { sessionStorage.setItem(name, JSON.stringify(value)); } catch { /* full or switched off: no drafts */ }
    },
    names() {
      try { return Object.keys(sessionStorage).filter((name) => name.startsWith(mark)); } catch { return []; }
    },
  };
  function forgetDrafts(test) {
    for (const name of store.names()) if (test(store.read(name))) sessionStorage.removeItem(name);
  }
  function markDrafts(form) {
    for (const area of all("textarea[data-draft]", form)) {
      if (area.value.trim()) store.write(key(area), { text: area.value, sent: true });
    }
  }
  if (document.querySelector(".flash-success")) forgetDrafts((draft) => draft?.sent);
  for (const area of all("textarea[data-draft]")) {
    const draft = store.read(key(area));
    if (draft?.text && !area.value.trim()) {
      area.value = draft.text;
      const note = element("p", { className: "draft", textContent: `${area.dataset.draft} ` });
      note.setAttribute("role", "status");
      const discard = element("button", { type: "button", className: "button link", textContent: area.dataset.draftDiscard });
      discard.addEventListener("click", () => {
        sessionStorage.removeItem(key(area));
        area.value = "";
        note.remove();
        area.focus();
      });
      note.append(discard);
      area.after(note);
    }
    area.addEventListener("input", () => {
      if (area.value.trim()) store.write(key(area), { text: area.value, sent: false });
      else forgetDraft(key(area));
    });
  }
  function forgetDraft(name) {
    try { sessionStorage.removeItem(name); } catch { /* nothing was kept */ }
  }

  // Copying a checksum. Outside HTTPS the clipboard is closed; the digits are then selected for the keyboard.
  for (const button of all("[data-copy]")) {
    button.hidden = false;
    const word = button.textContent;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        if (!document.execCommand("copy")) return;
      }
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = word; }, 3000);
    });
  }

  for (const button of all("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
  addEventListener("beforeprint", () => {
    const now = new Date().toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
    all("[data-print-time]").forEach((place) => { place.textContent = now; });
  });

  // On a narrow screen the menu and the filters start folded; without JavaScript they stay open.
  const narrow = matchMedia("(max-width: 640px)");
  const fold = () => all("details[data-fold]").forEach((part) => { part.open = !narrow.matches; });
  if (narrow.matches) fold();
  narrow.addEventListener("change", fold);

  document.querySelector(".error-summary")?.focus();
})();
