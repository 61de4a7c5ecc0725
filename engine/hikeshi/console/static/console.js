// What the browser does by itself: times in the reader's zone, deadlines that count down, forms, the chosen language.
"use strict";
(() => {
  const language = () => document.documentElement.lang || "en";
  const FORMS = {
    short: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    long: {
      year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
      hourCycle: "h23", timeZoneName: "short",
    },
  };

  class Shown extends HTMLElement {
    static get observedAttributes() { return ["at"]; }
    connectedCallback() {
      if (!this.shadowRoot) this.attachShadow({ mode: "open" }).append(document.createElement("time"));
      this.draw();
    }
    attributeChangedCallback() { if (this.shadowRoot) this.draw(); }
    get time() { return this.shadowRoot.firstChild; }
    get when() { return new Date(this.getAttribute("at")); }
  }

  class Moment extends Shown {
    draw() {
      const when = this.when;
      if (isNaN(when)) return;
      const form = FORMS[this.getAttribute("form")] || FORMS.short;
      this.time.textContent = new Intl.DateTimeFormat(language(), form).format(when);
      this.time.setAttribute("datetime", when.toISOString());
      this.time.title = new Intl.DateTimeFormat(language(), FORMS.long).format(when) + " / " + when.toISOString();
    }
  }

  const two = (number) => String(number).padStart(2, "0");
  class Left extends Shown {
    connectedCallback() {
      super.connectedCallback();
      this.timer = setInterval(() => this.draw(), 1000);
    }
    disconnectedCallback() { clearInterval(this.timer); }
    draw() {
      const left = Math.floor((this.when - Date.now()) / 1000);
      const days = Math.floor(left / 86400), hours = Math.floor(left / 3600) % 24;
      const minutes = Math.floor(left / 60) % 60;
      let text = this.getAttribute("over") || "";
      if (left > 0) text = days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours}:${two(minutes)}:${two(left % 60)}`
        : `${minutes}:${two(left % 60)}`;
      this.time.textContent = text;
      this.classList.toggle("soon", left < 300);
      this.time.setAttribute("datetime", this.getAttribute("at"));
      this.time.title = new Intl.DateTimeFormat(language(), FORMS.long).format(this.when);
    }
  }
  customElements.define("hk-time", Moment);
  customElements.define("hk-left", Left);

  // The second click of a double click is one of a nervous hand, and means nothing of its own.
  addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.closest("button, [type=submit]")) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  window.hk = {
    form(event) {
      event.preventDefault();
      const given = {};
      for (const [name, value] of new FormData(event.target, event.submitter)) given[name] = String(value);
      return given;
    },
    choose(name, value) {
      document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`
        + (location.protocol === "https:" ? "; secure" : "");
      location.reload();
    },
    open(id) { const box = document.getElementById(id); if (box && !box.open) box.showModal(); },
    close(id) { const box = document.getElementById(id); if (box && box.open) box.close(); },
    focus(id) {
      const found = document.getElementById(id);
      if (found) { found.focus(); found.scrollIntoView({ block: "nearest" }); }
    },
    brief(box) { box.closest("details").querySelector("ol").classList.toggle("brief", !box.checked); },
    anchor() {
      const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (found) { found.scrollIntoView(); found.focus({ preventScroll: true }); }
    },
  };

  // The menu of a phone closes like every menu.
  const menu = () => document.querySelector("nav.places details[open]");
  addEventListener("click", (event) => { if (menu() && !menu().contains(event.target)) menu().open = false; });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu()) { const summary = menu().firstElementChild; menu().open = false; summary.focus(); }
  });

  // A lost connection is said aloud.
  addEventListener("DOMContentLoaded", () => {
    const popup = document.getElementById("popup");
    if (popup) popup.setAttribute("role", "alert");
  });
})();
