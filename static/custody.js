// A custodian's three acts in the browser; the long-term key never leaves it. Keys are as kernel/sealing makes them.
//
// 1. Make a long-term key (or register one made by `flask bids custodian-key`):
//      <form method="post" data-custody="identity" data-name="buyer">
//        <input name="recipient" required>        sent: the public recipient, age1…
//        <button type="button" hidden data-custody-make>      makes a key and fills `recipient`
//        <a hidden data-custody-key>              the link by which the custodian saves the key's file
// 2. Make a call's key:
//      <form method="post" data-custody="call" data-call="ZB-2026-000012" data-recipients='["age1…"]'>
//        data-recipients: JSON, the custodian's own long-term recipients (one, or also a spare one)
//        <input name="recipient"> <textarea name="protected">     sent: this call's public recipient, and its key
//                                                 encrypted to the long-term ones (base64). Both are filled when the
//                                                 form is sent with them empty; `flask bids call-keys` prints the same.
// 3. Hand in a call's key at its opening:
//      <form method="post" data-custody="open" data-call="…" data-recipient="age1…" data-protected="base64">
//        <textarea data-custody-identity autocomplete="off"></textarea>     the long-term key, pasted, or
//        <input type="file" data-custody-identity>    its file. Neither has a name: it can't be sent.
//        <input name="key">                       sent: this call's key. Filled when the form is sent with it empty;
//                                                 `flask bids unwrap` prints the same.
// All: data-message-unreadable (not a key), -not-yours (it doesn't open the stored one), -other-call (the stored key
// belongs to another call: not handed in), -failed; told in the form's [data-custody-alert] (role=alert). Elements with
// [data-custody-browser] are hidden in the HTML and shown by this script. Where something goes wrong nothing is sent.

import { base64, encrypt, link } from "./sealing.js";
import { Decrypter, generateX25519Identity, identityToRecipient } from "./vendor/age-encryption.js";

/** `reason`: unreadable, notYours, otherCall. */
export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The one key in a pasted line or a key file. */
export function parseIdentity(text) {
  const lines = text.split(/\r\n?|\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  if (lines.length !== 1 || !/^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/.test(lines[0])) throw new Refused("unreadable");
  return lines[0];
}

/** A fresh key for a call: {recipient, protected}, both text to be sent. */
export async function makeCallKey(call, recipients) {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(call) || !recipients.length) throw new Error("call");
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const text = `# call: ${call}\n# public key: ${recipient}\n${identity}\n`;
  return { recipient, protected: base64(await encrypt(new TextEncoder().encode(text), recipients)) };
}

/** This call's key from the stored one, if it was made for this call and fits its published recipient. */
export async function recoverCallKey(stored, call, recipient, longTermText) {
  const longTerm = parseIdentity(longTermText);
  const decrypter = new Decrypter();
  let text;
  try {
    decrypter.addIdentity(longTerm);
  } catch {
    throw new Refused("unreadable");
  }
  try {
    text = await decrypter.decrypt(Uint8Array.from(atob(stored), (sign) => sign.charCodeAt(0)), "text");
  } catch {
    throw new Refused("notYours");
  }
  if (/^# call: ([A-Za-z0-9-]{1,64})\n/.exec(text)?.[1] !== call) throw new Refused("otherCall");
  const key = parseIdentity(text);
  if (await identityToRecipient(key) !== recipient) throw new Refused("otherCall");
  return key;
}

const ACTS = {
  async identity() {},
  async call(form) {
    const [recipient, stored] = [form.elements.recipient, form.elements.protected];
    if (recipient.value.trim() || stored.value.trim()) return;
    const made = await makeCallKey(form.dataset.call, JSON.parse(form.dataset.recipients));
    recipient.value = made.recipient;
    stored.value = made.protected;
  },
  async open(form) {
    const sources = [...form.querySelectorAll("[data-custody-identity]")];
    const { key } = form.elements;
    if (!key.value.trim()) {
      const texts = await Promise.all(sources.map((one) => one.files ? one.files[0]?.text() ?? "" : one.value));
      const { protected: stored, call, recipient } = form.dataset;
      key.value = await recoverCallKey(stored, call, recipient, texts.find((text) => text.trim()) ?? "");
    }
    sources.forEach((one) => { one.value = ""; });
  },
};

function install(form) {
  form.querySelectorAll("[data-custody-browser]").forEach((part) => { part.hidden = false; });
  // A name would send the long-term key: whatever the page says, it has none.
  form.querySelectorAll("[data-custody-identity]").forEach((part) => part.removeAttribute("name"));
  const alert = form.querySelector("[data-custody-alert]");
  const say = (message) => { if (alert) { alert.textContent = message ?? ""; alert.hidden = !message; } };
  const complain = (error) => {
    const reason = error instanceof Refused ? error.reason : "failed";
    say(form.dataset[`message${reason[0].toUpperCase()}${reason.slice(1)}`]);
    if (reason === "failed") console.error(error);
  };

  const make = form.querySelector("[data-custody-make]");
  if (make) make.hidden = false;
  make?.addEventListener("click", async () => {
    try {
      const identity = await generateX25519Identity();
      const recipient = await identityToRecipient(identity);
      const anchor = form.querySelector("a[data-custody-key]");
      link(anchor, `${form.dataset.name}.key.txt`, `# public key: ${recipient}\n${identity}\n`);
      anchor.hidden = false;
      form.elements.recipient.value = recipient;
      anchor.focus();
    } catch (error) {
      complain(error);
    }
  });

  let state = "open"; // open → busy → ready
  form.addEventListener("submit", async (event) => {
    if (state === "ready") { state = "open"; return; }
    event.preventDefault();
    if (state === "busy") return;
    state = "busy";
    say("");
    try {
      await ACTS[form.dataset.custody](form);
      await new Promise((resolve) => { setTimeout(resolve); }); // a form isn't sent again while it says that it is
      state = "ready";
      form.requestSubmit(event.submitter);
    } catch (error) {
      state = "open";
      complain(error);
    }
  });
}

document.querySelectorAll("form[data-custody]").forEach(install);
