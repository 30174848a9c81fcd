// Seals a bid in the bidder's browser, byte for byte as kernel/sealing does: nothing readable leaves the machine.
//
// The form it takes (everything without a mark is required):
//
//   <form method="post" enctype="multipart/form-data" data-sealing
//         data-call="ZB-2026-000012"             the call's number: letters, digits, hyphens
//         data-organisation="91…"                the bidder's credit code, 18 characters
//         data-recipients='{"buyer":"age1…",…}'  JSON: custodian → this call's public recipient
//         data-size-classes="4096,65536,…"       the call's size classes in bytes
//         data-message-price="…"                 what to say of a price that can't be read (also -discount,
//                                                -working-days, -statement, -files, -large, -failed)
//     <input name="price">   or   <input name="discount">      yuan; per cent off the fee standard (neither: no price)
//     <input name="working_days">
//     <textarea name="statement">                (optional) without data-draft: a draft is kept in the clear
//     <input type="file" name="files" multiple>  (optional)
//     <input type="file" name="sealed" accept=".json">   the sealed file; also for one made by `flask bids seal`
//
//   Elements, all optional, found inside the form:
//     [data-sealing-plain]        wraps the plain fields; hidden once they are sealed
//     [data-sealing-server]       "the server will seal": hidden by this script
//     [data-sealing-browser]      "sealed in your browser": hidden in the HTML, shown by this script
//     [data-sealing-done]         hidden in the HTML, shown once sealed: the bidder keeps the key, then submits. Inside:
//       [data-sealing-show=NAME]  gets what was sealed: price (yuan), price_words (capital numerals), discount
//                                 (per cent), working_days, statement, files (names), sha256
//       a[data-sealing-key]       the link by which the bidder saves the bid's own key
//       button[type=submit]       hands in
//       button[type=button][data-sealing-back]   back to the fields
//     [data-sealing-alert]        role=alert: gets data-message-large or -failed
//     [data-sealing-open]         on a named control that is to be sent readable (a tick of agreement)
//
// What is sent: hidden inputs and [data-sealing-open] as they are, and the file `sealed`:
//   {"version":1,"call":…,"sealed_by":"browser","ciphertext":base64,"wraps":{"buyer+platform":base64,…}}
// Every other named control is disabled before sending, known to this script or not. Where something goes wrong
// nothing is sent. Without [data-sealing-done] the key is saved as a download and the form goes at once.
// Without this script the same form sends the plain fields and no `sealed`, and the server seals.

import { Encrypter, forceWebCryptoOff, generateX25519Identity, identityToRecipient, sha256 } from "./vendor/age-encryption.js";

// Browsers keep their own key functions from pages without HTTPS; the library then computes by itself.
if (!crypto.subtle) forceWebCryptoOff(true);

export const MOST_FEN = 10 ** 15;
const LONGEST_STATEMENT = 20000;
const LONGEST_NAME = 200;
const MOST_FILES = 20;
const encoder = new TextEncoder();

/** What a person typed can't be sealed; `field` is the name of the control, or "large" when all of it is too much. */
export class Unfit extends Error {
  constructor(field) {
    super(field);
    this.field = field;
  }
}

/** Full-width characters of Chinese keyboards as ASCII. */
function narrow(text) {
  return [...text].map((sign) => {
    const code = sign.codePointAt(0);
    if (code >= 0xff01 && code <= 0xff5e) return String.fromCharCode(code - 0xfee0);
    return { 0xffe5: "¥", 0x3000: " " }[code] ?? sign;
  }).join("").trim();
}

/** Fen from yuan as typed: 1,234.50, １２３４．５, ¥1234.5元, 12.5万. */
export function parsePrice(text) {
  const plain = narrow(text);
  const found = /^(-?)¥? ?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?) ?(万|亿)? ?(?:元整?)?$/.exec(plain);
  if (!found || !/[0-9]/.test(found[2]) || plain.length > 60) throw new Unfit("price");
  const [whole, part = ""] = found[2].replaceAll(",", "").split(".");
  const scale = { 万: 10n ** 4n, 亿: 10n ** 8n }[found[3]] ?? 1n;
  const unit = 10n ** BigInt(part.length);
  const fen = BigInt(whole + part) * scale * 100n;
  if ((found[1] && fen) || fen % unit || fen / unit > BigInt(MOST_FEN)) throw new Unfit("price");
  return Number(fen / unit);
}

/** Fen in capital numerals, as money.chinese writes them: 壹仟贰佰叁拾肆元伍角整. */
export function capitals(fen) {
  const digits = "零壹贰叁肆伍陆柒捌玖";
  const group = (number) => {
    let text = "", gap = false;
    for (const [size, name] of [[1000, "仟"], [100, "佰"], [10, "拾"], [1, ""]]) {
      const digit = Math.floor(number / size) % 10;
      if (digit) {
        text += (gap && text ? "零" : "") + digits[digit] + name;
        gap = false;
      } else {
        gap = true;
      }
    }
    return text;
  };
  const whole = (number) => {
    if (number === 0) return "零";
    for (const [size, name] of [[1e8, "亿"], [1e4, "万"]]) {
      if (number >= size) {
        const low = number % size;
        const between = low > 0 && low < size / 10 ? "零" : "";
        return `${whole(Math.floor(number / size))}${name}${between}${low ? whole(low) : ""}`;
      }
    }
    return group(number);
  };
  const [yuan, rest] = [Math.floor(fen / 100), fen % 100];
  const [jiao, cents] = [Math.floor(rest / 10), rest % 10];
  let text = yuan || !rest ? `${whole(yuan)}元` : "";
  if (jiao) text += `${digits[jiao]}角`;
  return cents ? `${text}${text && !jiao ? "零" : ""}${digits[cents]}分` : `${text}整`;
}

/** Basis points from a percentage as typed: 15.5, １５．５％. */
export function parseDiscount(text) {
  const found = /^([0-9]{1,3})(?:\.([0-9]{0,2}))? ?%?$/.exec(narrow(text));
  const points = found ? Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0")) : Infinity;
  if (points > 10000) throw new Unfit("discount");
  return points;
}

export function parseWorkingDays(text) {
  const plain = narrow(text);
  if (!/^[0-9]{1,4}$/.test(plain) || Number(plain) < 1) throw new Unfit("working_days");
  return Number(plain);
}

/** Newlines as \n, no NUL, no half of a surrogate pair. */
export function plainText(text) {
  const lines = text.replace(/\r\n?/g, "\n").replaceAll("\0", "");
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(lines));
}

export function cleanName(name) {
  const clean = [...plainText(name).replace(/[\u0000-\u001f\u007f/\\]/g, "_")].slice(0, LONGEST_NAME).join("");
  return clean || "_";
}

/** Canonical JSON of strings, whole numbers, null, lists and objects with ASCII names. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

export function base64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(binary);
}

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A bid's canonical bytes. `fields`: price or discount or neither, working_days and statement as typed; files: [{name,
 * content}]. */
export function contentOf({ call, organisation, fields, files = [], nonce, sealedBy = "browser" }) {
  const statement = plainText(fields.statement ?? "");
  if ([...statement].length > LONGEST_STATEMENT) throw new Unfit("statement");
  if (files.length > MOST_FILES) throw new Unfit("files");
  const hasDiscount = fields.discount !== undefined;
  const content = {
    version: 1,
    call,
    organisation,
    price: hasDiscount || fields.price === undefined ? null : parsePrice(fields.price),
    discount: hasDiscount ? parseDiscount(fields.discount) : null,
    working_days: parseWorkingDays(fields.working_days ?? ""),
    statement,
    files: files.map((one) => ({ name: cleanName(one.name), content: base64(one.content) })),
    nonce: nonce ?? hex(crypto.getRandomValues(new Uint8Array(16))),
    sealed_by: sealedBy,
  };
  return { content, bytes: encoder.encode(canonical(content)) };
}

/** The smallest size class that holds the content, filled up with spaces. */
export function pad(bytes, call, classes) {
  const line = encoder.encode(`sealed/v1 ${call} ${bytes.length}\n`);
  const size = [...classes].sort((a, b) => a - b).find((one) => line.length + bytes.length <= one);
  if (size === undefined) throw new Unfit("large");
  const padded = new Uint8Array(size).fill(0x20);
  padded.set(line);
  padded.set(bytes, line.length);
  return padded;
}

export async function encrypt(bytes, recipients) {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    if (!/^age1[02-9ac-hj-np-z]{58}$/.test(recipient)) throw new Error("recipient");
    encrypter.addRecipient(recipient);
  }
  return encrypter.encrypt(bytes);
}

/** Every pair of custodians in alphabetical order, or the one that is alone. */
function groups(custodians) {
  const names = [...custodians].sort();
  if (names.length < 2) return [names];
  return names.flatMap((one, place) => names.slice(place + 1).map((other) => [one, other]));
}

/** Seal bytes for a call. Answers {ciphertext, wraps, sha256, key}; `key` is the bidder's alone. */
export async function seal(bytes, call, recipients, classes) {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(call) || !Object.keys(recipients).length) throw new Error("call");
  const padded = pad(bytes, call, classes);
  const key = await generateX25519Identity();
  const wraps = {};
  for (const group of groups(Object.keys(recipients))) {
    let wrapped = encoder.encode(`${key}\n`);
    for (const custodian of [...group].reverse()) wrapped = await encrypt(wrapped, [recipients[custodian]]);
    wraps[group.join("+")] = wrapped;
  }
  const ciphertext = await encrypt(padded, [await identityToRecipient(key)]);
  return { ciphertext, wraps, sha256: hex(sha256(ciphertext)), key };
}

/** The file to hand in, as text. */
export function sealedFile(sealed, call) {
  const wraps = Object.fromEntries(Object.entries(sealed.wraps).map(([name, wrap]) => [name, base64(wrap)]));
  return canonical({ version: 1, call, sealed_by: "browser", ciphertext: base64(sealed.ciphertext), wraps });
}

/** The file to keep, as text: an identity file for `age -d -i`. */
export function keyFile(sealed, call) {
  return [
    `# 公告 / call: ${call}`,
    `# 报价密文 SHA-256 / sealed bid: ${sealed.sha256}`,
    "# 请自行妥善保管，开启前不要交给任何人；只在报价无法开启时出示。",
    "# Keep it and show it to nobody before the opening; produce it only if the bid can't be opened.",
    `${sealed.key}\n`,
  ].join("\n");
}

/** Offer a text as a file to save. */
export function link(anchor, name, text) {
  if (anchor.href.startsWith("blob:")) URL.revokeObjectURL(anchor.href);
  anchor.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  anchor.download = name;
}

function install(form) {
  const all = (selector) => [...form.querySelectorAll(selector)];
  const show = (selector, shown) => all(selector).forEach((part) => { part.hidden = !shown; });
  const control = (name) => form.querySelector(`[name="${name}"]`);
  const target = control("sealed");
  const { call, organisation } = form.dataset;
  const done = form.querySelector("[data-sealing-done]");
  let state = "open"; // open → busy → sealed → sent
  let disabled = [];

  show("[data-sealing-server]", false);
  show("[data-sealing-browser]", true);

  // Whatever isn't known to be harmless stays here, also a field that the page got later than this script.
  function withhold() {
    const kept = (part) => part === target || ["hidden", "submit", "button", "fieldset"].includes(part.type)
      || part.hasAttribute("data-sealing-open");
    disabled = [...form.elements].filter((part) => part.name && !part.disabled && !kept(part));
    disabled.forEach((part) => { part.disabled = true; });
  }
  function reopen() {
    disabled.forEach((part) => { part.disabled = false; });
    disabled = [];
    target.value = "";
    show("[data-sealing-plain]", true);
    show("[data-sealing-done]", false);
    state = "open";
  }

  function complain(field) {
    const input = control(field);
    const message = form.dataset[`message${field.split("_").map((word) => word[0].toUpperCase() + word.slice(1)).join("")}`];
    if (!input) {
      all("[data-sealing-alert]").forEach((part) => { part.textContent = message ?? ""; part.hidden = false; });
      return;
    }
    const id = `${input.id || field}-sealing`;
    input.before(Object.assign(document.createElement("p"), { id, className: "error-message", textContent: message ?? "" }));
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", `${input.getAttribute("aria-describedby") ?? ""} ${id}`.trim());
    input.closest(".field")?.classList.add("wrong");
    input.focus();
  }
  function forgive() {
    all("[data-sealing-alert]").forEach((part) => { part.textContent = ""; });
    for (const note of all("[id$='-sealing'].error-message")) {
      const input = note.nextElementSibling;
      const rest = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== note.id);
      if (rest.length) input.setAttribute("aria-describedby", rest.join(" "));
      else input.removeAttribute("aria-describedby");
      input.removeAttribute("aria-invalid");
      input.closest(".field")?.classList.remove("wrong");
      note.remove();
    }
  }

  async function work() {
    const fields = {};
    for (const name of ["price", "discount", "working_days", "statement"]) if (control(name)) fields[name] = control(name).value;
    if (fields.discount !== undefined && fields.price !== undefined) delete fields[fields.discount.trim() ? "price" : "discount"];
    const files = [];
    for (const file of control("files")?.files ?? []) {
      files.push({ name: file.name, content: new Uint8Array(await file.arrayBuffer()) });
    }
    const { content, bytes } = contentOf({ call, organisation, fields, files });
    const classes = form.dataset.sizeClasses.split(",").map(Number);
    const sealed = await seal(bytes, call, JSON.parse(form.dataset.recipients), classes);
    const stem = `${call}-${sealed.sha256.slice(0, 12)}`;
    const carrier = new DataTransfer();
    carrier.items.add(new File([sealedFile(sealed, call)], `${stem}.sealed.json`, { type: "application/json" }));
    target.files = carrier.files;
    withhold();
    return { content, sealed, stem };
  }

  function present({ content, sealed, stem }) {
    const hundredths = (value) => value === null ? "" : `${Math.floor(value / 100)}.${String(value % 100).padStart(2, "0")}`;
    const said = {
      price: hundredths(content.price),
      price_words: content.price === null ? "" : capitals(content.price),
      discount: hundredths(content.discount),
      working_days: String(content.working_days),
      statement: content.statement,
      files: content.files.map((one) => one.name).join("\n"),
      sha256: sealed.sha256,
    };
    all("[data-sealing-show]").forEach((part) => { part.textContent = said[part.dataset.sealingShow] ?? ""; });
    const anchor = form.querySelector("a[data-sealing-key]") ?? document.createElement("a");
    link(anchor, `${stem}.key.txt`, keyFile(sealed, call));
    if (!done) {
      anchor.click();
      form.requestSubmit();
      return;
    }
    show("[data-sealing-plain]", false);
    done.hidden = false;
    done.tabIndex = -1;
    done.focus();
  }

  form.addEventListener("submit", async (event) => {
    if (state === "sealed") { state = "sent"; return; }
    if (state === "sent") return;
    if (state === "open" && target.files.length) { // sealed elsewhere
      withhold();
      state = "sent";
      return;
    }
    event.preventDefault();
    if (state === "busy") return;
    state = "busy";
    form.setAttribute("aria-busy", "true");
    forgive();
    try {
      const made = await work();
      await new Promise((resolve) => { setTimeout(resolve); }); // a form isn't sent again while it says that it is
      state = "sealed";
      present(made);
    } catch (error) {
      reopen();
      complain(error instanceof Unfit ? error.field : "failed");
      if (!(error instanceof Unfit)) console.error(error);
    } finally {
      form.removeAttribute("aria-busy");
    }
  });
  all("[data-sealing-back]").forEach((button) => button.addEventListener("click", reopen));
  addEventListener("pageshow", (event) => { if (event.persisted) reopen(); });
}

document.querySelectorAll("form[data-sealing]").forEach(install);
