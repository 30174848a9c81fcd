// The live room: shows the state as it changes. The page and its form work without this script.
(() => {
  "use strict";
  const room = document.querySelector("[data-room]");
  if (!room) return;
  const part = (name) => room.querySelector(`[data-room-${name}]`);
  const hide = (name, is) => { const found = part(name); if (found) found.hidden = is; };
  const address = room.dataset.room;
  let ahead = Number(room.dataset.now) - Date.now();
  let ends = Number(room.dataset.ends) || 0;
  let heard = Date.now(), wait = 1000, line = "", html = "", wasTurn = Boolean(room.dataset.turn);

  // The clock of the server, and what is left of the stage.
  const time = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", timeStyle: "medium" });
  setInterval(() => {
    const now = Date.now() + ahead;
    const left = Math.max(0, Math.ceil((ends - now) / 1000));
    part("time").textContent = time.format(now);
    hide("rest", !ends || left > 86400);
    const hours = Math.floor(left / 3600), digits = (number) => String(number).padStart(2, "0");
    part("left").textContent = `${hours ? `${hours}:` : ""}${digits(Math.floor(left / 60) % 60)}:${digits(left % 60)}`;
    hide("offline", Date.now() - heard < wait + 6000);
  }, 250);

  function show(state) {
    if (state.finished) { location.replace(room.dataset.result); return; }
    heard = Date.now();
    wait = state.wait;
    ahead = state.now - heard;
    ends = state.ends || 0;
    if (state.html !== html) part("state").innerHTML = html = state.html;
    if (state.line !== line) part("line").textContent = line = state.line;
    hide("ended", true);
    const form = part("form");
    if (!form) return;
    form.disabled = !state.turn;
    hide("closed", state.turn);
    hide("back", !state.pending);
    part("most").textContent = state.most_text;
    part("most-words").textContent = state.most_words;
    part("low").dataset.roomLow = state.low;
    if (state.turn && !wasTurn && document.activeElement === document.body) price.focus();
    wasTurn = state.turn;
    judge();
  }

  // Short answers that end: the browser asks again by itself; where it cannot, or gave up, we ask.
  function listen() {
    const source = new EventSource(address);
    source.addEventListener("state", (event) => show(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(ask, 1000);
    });
  }
  async function ask() {
    try {
      const answer = await fetch(address, { redirect: "manual", cache: "no-store" });
      if (answer.ok) {
        const body = await answer.text();
        const data = /^data: (.*)$/m.exec(body);
        if (data) show(JSON.parse(data[1]));
      } else if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 404) {
        hide("ended", false);
        return;
      }
    } catch { /* still offline */ }
    setTimeout(ask, wait);
  }
  if (self.EventSource) listen();
  else ask();
  addEventListener("online", () => { heard = Date.now(); });

  // The amount typed, in the numerals of a contract, and whether it is abnormally low.
  const price = room.querySelector("#price");
  function fen(text) {
    const plain = text.normalize("NFKC").replace(/[,\s¥元整]/g, "");
    const found = /^(\d{1,13})(?:\.(\d{0,2}))?$/.exec(plain);
    return found ? Number(found[1]) * 100 + Number((found[2] || "").padEnd(2, "0")) : null;
  }
  const digit = "零壹贰叁肆伍陆柒捌玖";
  function whole(number) {
    if (number === 0) return digit[0];
    for (const [size, name] of [[1e8, "亿"], [1e4, "万"]]) {
      if (number < size) continue;
      const rest = number % size;
      return whole(Math.floor(number / size)) + name + (rest && rest < size / 10 ? digit[0] : "") + (rest ? whole(rest) : "");
    }
    let text = "", gap = false;
    for (const [size, name] of [[1000, "仟"], [100, "佰"], [10, "拾"], [1, ""]]) {
      const found = Math.floor(number / size) % 10;
      if (found) {
        text += (gap && text ? digit[0] : "") + digit[found] + name;
        gap = false;
      } else gap = true;
    }
    return text;
  }
  function chinese(amount) {
    const yuan = Math.floor(amount / 100), jiao = Math.floor(amount / 10) % 10, cents = amount % 10;
    let text = yuan || !(jiao || cents) ? `${whole(yuan)}元` : "";
    if (jiao) text += `${digit[jiao]}角`;
    return cents ? `${text}${text && !jiao ? "零" : ""}${digit[cents]}分` : `${text}整`;
  }
  function judge() {
    const amount = fen(price.value);
    part("words").textContent = amount === null ? "" : chinese(amount);
    const box = part("low");
    if (!box.querySelector(".error-message")) box.hidden = !(amount && amount < Number(box.dataset.roomLow));
  }
  if (price) {
    price.addEventListener("input", judge);
    judge();
  }
})();
