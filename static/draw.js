// A party's seed, made in its own browser: what goes to the server is the commitment and the sealed seed.
//
//   <form method="post" data-draw="CQ-2026-000012" data-party="buyer" data-recipients='{"buyer":"age1…",…}'
//         data-size-class="4096" data-message-failed="…">
//     data-recipients: JSON, custodian → long-term public recipient; {} when a withheld seed couldn't be opened anyway
//     <input type="hidden" name="seed">        the seed that the server showed: emptied by this script
//     <input type="hidden" name="commitment">  sent: docs/draw.md, H(commitment, [draw, party, seed])
//     <input type="hidden" name="sealed">      sent: the file of static/sealing.js, for every pair of recipients
//   In the page:
//     [data-draw-server]   what the server made: removed;   [data-draw-browser]   hidden in the HTML, shown
//     a[data-draw-seed]    the link that saves the seed's file; [data-draw-commitment] gets the commitment
//     [data-draw-alert]    role=alert: gets data-message-failed
// The seed itself is sent by nobody until its party opens it. Where something goes wrong nothing changes: the form
// still sends the server's seed, and says so.

const encoder = new TextEncoder();
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** 256 bits as 64 lower-case hexadecimal digits. */
export function freshSeed() {
  return hex(crypto.getRandomValues(new Uint8Array(32)));
}

/** What is published in place of the seed; bound to the draw and the party. */
export async function commitment(draw, party, seed) {
  const bytes = encoder.encode(`draw/commitment/v1\n${JSON.stringify([draw, party, seed])}`);
  if (crypto.subtle) return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  // Browsers keep their own hash from pages without HTTPS.
  return hex((await import("./vendor/age-encryption.js")).sha256(bytes));
}

/** The file that the party keeps; market/drawing/seeds.py writes the same. */
export function seedFile(draw, party, seed) {
  return [
    `# 抽取 / draw: ${draw}`,
    `# 参与方 / party: ${party}`,
    "# 请妥善保管，公开之前不要交给任何人。",
    "# Keep it, and show it to nobody before you open it.",
    `${seed}\n`,
  ].join("\n");
}

async function install(form) {
  const { draw, party } = form.dataset;
  const seed = freshSeed();
  const recipients = JSON.parse(form.dataset.recipients);
  const pledged = await commitment(draw, party, seed);
  let sealed = "";
  if (Object.keys(recipients).length) {
    const { seal, sealedFile } = await import("./sealing.js"); // large, and not always wanted
    sealed = sealedFile(await seal(encoder.encode(seed), draw, recipients, [Number(form.dataset.sizeClass)]), draw);
  }
  const anchor = document.querySelector("a[data-draw-seed]");
  anchor.href = URL.createObjectURL(new Blob([seedFile(draw, party, seed)], { type: "text/plain" }));
  anchor.download = `${draw}.seed.txt`;
  document.querySelectorAll("[data-draw-commitment]").forEach((part) => { part.textContent = pledged; });
  document.querySelectorAll("[data-draw-server]").forEach((part) => part.remove());
  document.querySelectorAll("[data-draw-browser]").forEach((part) => { part.hidden = false; });
  form.elements.seed.value = "";
  form.elements.commitment.value = pledged;
  form.elements.sealed.value = sealed;
  let isSaved = false;
  anchor.addEventListener("click", () => { isSaved = true; });
  // Whoever forgets to save the seed gets it with the commitment.
  form.addEventListener("submit", () => { if (!isSaved && form.elements.kept?.checked) anchor.click(); });
}

for (const form of document.querySelectorAll("form[data-draw]")) {
  install(form).catch((error) => {
    console.error(error);
    for (const part of document.querySelectorAll("[data-draw-alert]")) {
      part.textContent = form.dataset.messageFailed ?? "";
      part.hidden = false;
    }
  });
}
