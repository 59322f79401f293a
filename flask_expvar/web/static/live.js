/* Live refresh: asks for the same page again and morphs what has changed into place.
   Polling, since every open event stream would hold a thread or a whole worker of a WSGI server. */
(() => {
  "use strict";
  const live = document.querySelector(".live");
  if (!live) return;
  const seconds = Number(live.dataset.refresh) || 0;
  const status = live.querySelector(".status");
  const banner = document.getElementById("banner");
  const backOff = [5, 15, 60];
  // A tab that nobody has touched for so many seconds asks every other minute: each look costs all workers.
  const leftAlone = 300, slow = 120;
  let tag = "", errors = 0, timer = 0, paused = false, busy = false;
  let answered = new Date(), told = 0, touched = Date.now();

  // The server's, as everything else on the page.
  const clock = (moment) =>
    new Date(moment.getTime() + 1000 * live.dataset.offset).toISOString().slice(11, 19);

  const typing = () => {
    const field = document.activeElement;
    return !!field && field.matches("input, select, textarea");
  };

  // A screen reader hears of it four times a minute at most.
  const say = (text, now) => {
    if (now || Date.now() - told >= 15000) {
      status.textContent = text;
      told = Date.now();
    }
  };

  const pace = () => (Date.now() - touched < 1000 * leftAlone ? seconds : Math.max(seconds, slow));

  const plan = (wait) => {
    clearTimeout(timer);
    if (seconds && !paused && !document.hidden) timer = setTimeout(refresh, 1000 * wait);
  };

  // A row is the same one wherever it is now: what is open, selected or has the focus moves with it.
  const name = (root) => {
    const seen = new Set();
    root.querySelectorAll(".scroll > table").forEach((table, at) => {
      for (const row of table.tBodies[0]?.rows ?? []) {
        if (row.id && !row.id.startsWith("row ")) continue;
        const link = row.querySelector("a[href]");
        const id = `row ${at} ${link ? link.getAttribute("href") : row.cells[0]?.textContent}`;
        if (seen.has(id)) row.removeAttribute("id");
        else row.id = id;
        seen.add(id);
      }
    });
  };

  const morph = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    [document, page].forEach(name);
    for (const part of ["main", "header.top", "footer > p.made", "footer > details"]) {
      const old = document.querySelector(part), fresh = page.querySelector(part);
      if (!old || !fresh) continue;
      Idiomorph.morph(old, fresh, {
        // What somebody has opened or closed, or typed, stays as it is.
        callbacks: {
          beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details")),
          beforeNodeRemoved: (node) => !(node.matches && node.matches("[data-keep]")),
        },
        ignoreActiveValue: true,
      });
    }
    document.dispatchEvent(new Event("expvar:morphed"));
  };

  const failed = (why) => {
    errors += 1;
    banner.textContent = `✖ ${why} since ${clock(answered)}. What you see is of then.`;
    banner.hidden = false;
    document.body.classList.add("stale");
    plan(backOff[Math.min(errors, backOff.length) - 1]);
  };

  const refresh = async () => {
    if (busy) return;
    if (typing()) return plan(pace());
    busy = true;
    const stop = new AbortController();
    const limit = setTimeout(() => stop.abort(), 15000);
    try {
      const answer = await fetch(location.href, {
        cache: "no-store", credentials: "same-origin", signal: stop.signal,
        headers: tag ? { Accept: "text/html", "If-None-Match": tag } : { Accept: "text/html" },
      });
      if (answer.status !== 200 && answer.status !== 304) {
        failed(`The server answers ${answer.status}`);
        return;
      }
      // Somebody may have begun to type while it was on its way.
      if (answer.status === 200 && !typing()) {
        morph(await answer.text());
        tag = answer.headers.get("ETag") || "";
      }
      answered = new Date();
      errors = 0;
      banner.hidden = true;
      document.body.classList.remove("stale");
      say(`updated ${clock(answered)}${pace() > seconds ? ", every other minute until you are back" : ""}`);
      plan(pace());
    } catch (error) {
      failed("No answer");
    } finally {
      clearTimeout(limit);
      busy = false;
    }
  };

  const back = () => {
    const away = pace() > seconds;
    touched = Date.now();
    if (away && !errors) plan(0.2);
  };

  for (const name of ["pointermove", "pointerdown", "keydown", "wheel"]) {
    document.addEventListener(name, back, { passive: true });
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) touched = Date.now();
    plan(0.2);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
    if (event.key === "/") {
      const search = document.querySelector("[role=search] input:not([type=hidden])");
      if (search) { search.focus(); event.preventDefault(); }
    } else if (event.key === "r") {
      refresh();
    } else if (event.key === "p" && seconds) {
      paused = !paused;
      say(paused ? "paused, p to go on" : "goes on", true);
      plan(0.2);
    }
  });

  const keys = document.createElement("span");
  keys.textContent = `Keys: / search, r refresh${seconds ? ", p pause" : ""}`;
  live.append(keys);

  const command = document.querySelector(".curl code");
  if (command && navigator.clipboard) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.dataset.keep = "";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      say("copied", true);
    });
    command.closest("details").append(button);
  }

  plan(seconds);
})();
