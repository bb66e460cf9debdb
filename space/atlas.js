// Pictures of trees and maps, explored: zoom, pan, names on hover and focus, one colour at a time.
// Without this script they are plain SVG whose marks are links.
(() => {
  const NEAREST = 24, STEP = 1.5;
  const seen = new WeakMap();

  class Atlas {
    constructor(root) {
      this.root = root;
      this.svg = root.querySelector("svg");
      this.marks = [...this.svg.querySelectorAll("a")];
      this.whole = this.svg.viewBox.baseVal;
      this.whole = { x: this.whole.x, y: this.whole.y, w: this.whole.width, h: this.whole.height };
      this.view = { ...this.whole };
      this.fingers = new Map();
      this.tip = root.appendChild(Object.assign(document.createElement("div"), { className: "hb-tip", hidden: true }));
      this.tip.setAttribute("aria-hidden", "true");
      // All are measured before the first is changed: the page would be laid out anew for each, which takes seconds.
      const boxes = this.marks.map((mark) => mark.querySelector(":not(title)").getBBox());
      for (const [i, mark] of this.marks.entries()) {
        const title = mark.querySelector("title");
        mark.dataset.told = title.textContent;
        mark.setAttribute("aria-label", title.textContent.replace("\n", ": "));
        title.remove();
        mark.setAttribute("tabindex", "-1");
        mark.at = { x: boxes[i].x + boxes[i].width / 2, y: boxes[i].y + boxes[i].height / 2 };
      }
      this.current = this.marks[this.marks.length - 1];
      this.current?.setAttribute("tabindex", "0");
      this.listen();
      root.dataset.ready = "";
    }

    listen() {
      const on = (name, does, how) => this.svg.addEventListener(name, does.bind(this), how);
      on("wheel", this.wheel, { passive: false });
      on("pointerdown", this.down);
      on("pointermove", this.move);
      on("pointerup", this.up);
      on("pointercancel", this.up);
      on("click", this.click, true);
      on("keydown", this.key);
      on("dragstart", (event) => event.preventDefault());
      on("pointerover", (event) => this.tell(event.target.closest("a")));
      on("pointerleave", () => this.tell(null));
      on("focusin", (event) => { this.hold(event.target.closest("a")); this.tell(this.current); });
      on("focusout", () => this.tell(null));
      this.root.querySelector(".hb-tools").addEventListener("click", (event) => {
        const verb = event.target.closest("button")?.dataset.do;
        if (verb === "whole") this.show(this.whole);
        else if (verb) this.zoom(verb === "in" ? STEP : 1 / STEP);
      });
    }

    // Where on the picture a point of the screen lies.
    at(event) {
      const box = this.svg.getScreenCTM().inverse();
      return new DOMPoint(event.clientX, event.clientY).matrixTransform(box);
    }

    show(view) {
      const w = Math.min(this.whole.w, Math.max(this.whole.w / NEAREST, view.w)), h = w * this.whole.h / this.whole.w;
      const inside = (at, size, from, all) => Math.min(from + all - size / 2, Math.max(from - size / 2, at));
      const x = view.x + (view.w - w) / 2, y = view.y + (view.h - h) / 2;
      const far = w >= this.whole.w;
      this.view = far ? { ...this.whole } : { x: inside(x, w, this.whole.x, this.whole.w), y: inside(y, h, this.whole.y, this.whole.h), w, h };
      this.svg.setAttribute("viewBox", `${this.view.x} ${this.view.y} ${this.view.w} ${this.view.h}`);
      this.root.classList.toggle("hb-near", !far);
      // Marks grow more slowly than the picture, so that what lies close comes apart.
      this.svg.style.setProperty("--hb-grown", (this.view.w / this.whole.w) ** 0.35);
      this.tell(null);
    }

    zoom(factor, about) {
      const v = this.view, w = v.w / factor, h = v.h / factor;
      if (w > this.whole.w) return this.show(this.whole);
      if (w < this.whole.w / NEAREST) return;
      const p = about ?? { x: v.x + v.w / 2, y: v.y + v.h / 2 };
      this.show({ x: p.x - (p.x - v.x) / factor, y: p.y - (p.y - v.y) / factor, w, h });
    }

    pan(dx, dy) { this.show({ ...this.view, x: this.view.x - dx, y: this.view.y - dy }); }

    wheel(event) {
      if (!event.ctrlKey && !event.metaKey && !this.root.contains(document.activeElement)) return;
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), this.at(event));
    }

    down(event) {
      if (event.button) return;
      this.fingers.set(event.pointerId, event);
      this.dragged = this.fingers.size > 1;
    }

    move(event) {
      const before = this.fingers.get(event.pointerId);
      if (!before) return;
      const one = this.fingers.size === 1, scale = this.svg.getScreenCTM().a;
      if (one && event.pointerType === "touch" && !this.root.classList.contains("hb-near")) return;
      if (!this.dragged && Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 4) return;
      this.dragged = true;
      this.svg.setPointerCapture(event.pointerId);
      if (one) {
        this.pan((event.clientX - before.clientX) / scale, (event.clientY - before.clientY) / scale);
      } else {
        const [other] = [...this.fingers].filter(([id]) => id !== event.pointerId).map(([, finger]) => finger);
        const gap = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
        this.zoom(gap(event) / Math.max(1, gap(before)), this.at(middle));
      }
      this.fingers.set(event.pointerId, event);
    }

    up(event) { this.fingers.delete(event.pointerId); }

    // Who drags the picture did not mean to follow a link.
    click(event) {
      if (this.dragged) { event.preventDefault(); event.stopPropagation(); this.dragged = false; }
    }

    key(event) {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (way && event.shiftKey) this.pan(-way[0] * this.view.w / 6, -way[1] * this.view.h / 6);
      else if (way) this.step(...way);
      else if (event.key === "+" || event.key === "=") this.zoom(STEP, this.current?.at);
      else if (event.key === "-") this.zoom(1 / STEP, this.current?.at);
      else if (event.key === "0" || event.key === "Escape") this.show(this.whole);
      else return;
      event.preventDefault();
    }

    // To the nearest mark in that direction.
    step(x, y) {
      const from = this.current.at;
      let best = null, least = Infinity;
      for (const mark of this.marks) {
        if (mark.classList.contains("hb-dim")) continue;
        const dx = mark.at.x - from.x, dy = mark.at.y - from.y, ahead = dx * x + dy * y;
        const aside = Math.abs(dx * y) + Math.abs(dy * x);
        if (ahead > 0.5 && ahead + 2 * aside < least) { best = mark; least = ahead + 2 * aside; }
      }
      if (!best) return;
      const v = this.view, p = best.at;
      if (p.x < v.x || p.y < v.y || p.x > v.x + v.w || p.y > v.y + v.h) this.show({ ...v, x: p.x - v.w / 2, y: p.y - v.h / 2 });
      best.focus({ preventScroll: true });
      this.tell(best);
    }

    // The one mark that the Tab key comes to.
    hold(mark) {
      if (!mark) return;
      this.current?.setAttribute("tabindex", "-1");
      this.current = mark;
      mark.setAttribute("tabindex", "0");
    }

    tell(mark) {
      this.tip.hidden = !mark;
      if (!mark) return;
      const [name, said] = mark.dataset.told.split("\n");
      this.tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: name }), said ?? "");
      const box = mark.firstElementChild.getBoundingClientRect(), all = this.root.getBoundingClientRect();
      const half = this.tip.offsetWidth / 2, x = box.left + box.width / 2 - all.left;
      this.tip.style.left = `${Math.max(0, Math.min(all.width - 2 * half, x - half))}px`;
      const above = box.top - all.top - this.tip.offsetHeight - 8;
      this.tip.style.top = `${above > 0 ? above : box.bottom - all.top + 8}px`;
    }
  }

  // One colour alone, in all pictures of the page.
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-only]");
    if (!pressed) return;
    const only = pressed.getAttribute("aria-pressed") === "true" ? null : pressed.dataset.only;
    for (const button of document.querySelectorAll("[data-only]"))
      button.setAttribute("aria-pressed", String(button.dataset.only === only));
    for (const mark of document.querySelectorAll(".hb-atlas a"))
      mark.classList.toggle("hb-dim", only !== null && !mark.classList.contains(only));
  });

  const look = () => {
    for (const root of document.querySelectorAll(".hb-atlas")) if (!seen.has(root)) seen.set(root, new Atlas(root));
    const list = document.getElementById("hb-members"), asked = new URL(location.href).searchParams;
    if (list && !seen.has(list)) {
      seen.set(list, true);
      if (asked.has("from") || asked.has("label")) list.scrollIntoView();
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
})();
