// SPDX-License-Identifier: MIT
// The scope's page. Everything from a recording is put into the page as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const LANES = [
  { name: "driver reads", kinds: ["read"], tone: "--read" },
  { name: "driver writes", kinds: ["write"], tone: "--write" },
  { name: "DMA from memory", kinds: ["dma-read"], tone: "--fetch" },
  { name: "DMA to memory", kinds: ["dma-write"], tone: "--store" },
  { name: "frames out", kinds: ["frame-sent"], tone: "--frame", box: true },
  { name: "frames in", kinds: ["frame-received"], tone: "--frame", box: true },
  { name: "interrupts", kinds: ["interrupt"], tone: "--irq" },
  { name: "everything else", kinds: [], tone: "--fault" },
];
const UNFRAMED = LANES.filter((one) => !one.box);
const KINDS = ["write", "read", "dma-read", "dma-write", "frame-sent", "frame-received", "interrupt", "fault", "reset"];
const GAP = 5e-4; // seconds: a shorter pause is drawn at its length
const EVERY = 400; // events between two remembered states
const ROW = 22;
const MOST = 50000; // events on a page that goes on, if it did not begin with half of them

const element = (tag, names, ...children) => {
  const one = document.createElement(tag);
  if (names) one.className = names;
  one.append(...children.filter((child) => child !== null && child !== undefined));
  return one;
};
const svg = (tag, attributes, ...children) => {
  const one = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  one.append(...children);
  return one;
};
const hex = (value, width = 0) => "0x" + value.toString(16).padStart(Math.ceil(width / 4), "0");
const bits = (value, [high, low]) => (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
const little = (data) => {
  let value = 0n;
  for (let at = data.length - 2; at >= 0; at -= 2) value = (value << 8n) | BigInt(parseInt(data.substr(at, 2), 16));
  return value;
};
const span = (seconds) => {
  const [unit, factor] = seconds >= 1 ? ["s", 1] : seconds >= 1e-3 ? ["ms", 1e3] : ["µs", 1e6];
  return `${(seconds * factor).toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros[0] === "." ? "" : zeros))} ${unit}`;
};

// -- a recording, and the state of its device at each event -------------------------------------------------------------

class State {
  constructor(values, rings, level) { Object.assign(this, { values, rings, level }); }
  copy() {
    return new State(this.values.slice(), this.rings.map((one) => ({ ...one, entries: new Map(one.entries) })), this.level);
  }
  apply(event) {
    for (const [slot, value] of event.values || []) this.values[slot] = BigInt(value);
    for (const change of event.rings || []) {
      const ring = this.rings[change.ring];
      if (change.address !== undefined) Object.assign(ring, { address: BigInt(change.address), count: change.count, entries: new Map() });
      for (const [index, data] of change.entries) ring.entries.set(index, data);
    }
    if (event.level !== undefined) this.level = event.level;
  }
}

class Recording {
  constructor(data) {
    Object.assign(this, { device: data.device, rings: data.rings, folded: data.folded, events: [] });
    this.slots = [];
    this.slotOf = Object.create(null);
    for (const register of data.registers) {
      this.slotOf[register.name] = register.slot;
      for (let index = 0; index < (register.count || 1); index++) {
        const name = register.stride ? `${register.name}[${index}]` : register.name;
        this.slots[register.slot + index] = { ...register, name, offset: register.offset + index * (register.stride || 0) };
      }
    }
    this.order = [...this.slots.keys()].sort((a, b) => this.slots[a].bar - this.slots[b].bar || this.slots[a].offset - this.slots[b].offset);
    this.mask = this.slotOf[data.device.interrupt_mask];
    const rings = data.base.rings.map((ring) => ({ address: BigInt(ring.address), count: ring.count, entries: new Map(ring.entries) }));
    this.base = new State(data.base.values.map((value) => (value === null ? null : BigInt(value))), rings, data.base.level);
    this.marks = [this.base.copy()]; // the states before the events 0, EVERY, 2 * EVERY …
    this.front = this.base.copy();
    this.cursor = { at: -1, state: this.base.copy() };
    this.places = this.rings.map(() => new Map()); // buffer addresses, to say what a DMA is about
    this.front.rings.forEach((ring, number) => ring.entries.forEach((entry, index) => this.learn(number, index, entry)));
    this.touched = new Set();
    this.masked = []; // [begin, end] in events: interrupts are masked, the driver polls
    this.high = []; // [begin, end] in events: INTx is high
    this.enabled = false;
    this.framed = false;
    this.most = Math.max(MOST, 2 * data.events.length);
    this.cut = []; // positions on the axis with shortened pauses
    this.append(data.events);
  }
  learn(number, index, entry) {
    const [address] = this.rings[number].buffer;
    if (address) this.places[number].set(bits(little(entry), this.rings[number].fields[address]), index);
  }
  append(events) {
    for (const event of events) {
      const at = this.events.length;
      if (at && at % EVERY === 0) this.marks.push(this.front.copy());
      if (event.slot !== undefined) this.touched.add(event.slot);
      for (const [slot] of event.values || []) this.touched.add(slot);
      for (const change of event.rings || []) {
        if (change.address !== undefined) this.places[change.ring].clear();
        for (const [index, entry] of change.entries) this.learn(change.ring, index, entry);
      }
      this.framed ||= event.kind.startsWith("frame");
      this.front.apply(event);
      event.about = this.about(event);
      event.line = this.line(event).toLowerCase();
      this.follow(at, event);
      const gap = at ? Math.max(0, event.time - this.events[at - 1].time) : 0;
      this.cut.push(at ? this.cut[at - 1] + (gap <= GAP ? gap : GAP * (1 + Math.log2(gap / GAP) / 2)) + 4e-6 : 0);
      this.events.push(event);
    }
  }
  follow(at, event) {
    if (this.mask !== undefined && event.values) {
      const on = this.front.values[this.mask];
      const open = this.masked.at(-1);
      if (on) {
        this.enabled = true;
        if (open && open[1] === null) open[1] = at;
      } else if (this.enabled && (!open || open[1] !== null)) this.masked.push([at, null]);
    }
    if (event.level !== undefined) {
      const open = this.high.at(-1);
      if (event.level) this.high.push([at, null]);
      else if (open && open[1] === null) open[1] = at;
    }
  }
  // What a DMA is about: a descriptor, or a descriptor's buffer.
  about(event) {
    if (!event.kind.startsWith("dma")) return "";
    const address = BigInt(event.offset || 0);
    for (const [number, ring] of this.front.rings.entries()) {
      const size = BigInt(this.rings[number].size);
      if (ring.count && address >= ring.address && address < ring.address + BigInt(ring.count) * size) {
        const first = (address - ring.address) / size;
        const end = (address + BigInt(event.size || 1) - 1n - ring.address) / size;
        return `${this.rings[number].name} descriptor${first === end ? "" : "s"} ${first}${first === end ? "" : `–${end}`}`;
      }
      const index = this.places[number].get(address);
      if (index !== undefined && address) return `buffer of ${this.rings[number].name} descriptor ${index}`;
    }
    return "";
  }
  state(at) {
    let { at: from, state } = this.cursor;
    if (from > at || at - from > EVERY) {
      const mark = Math.min(Math.floor(Math.max(0, at) / EVERY), this.marks.length - 1);
      from = mark * EVERY - 1;
      state = this.marks[mark].copy();
    }
    for (; from < at; from++) state.apply(this.events[from + 1]);
    this.cursor = { at, state };
    return state;
  }
  fields(event) {
    const register = event.slot === undefined ? null : this.slots[event.slot];
    if (!register || event.size * 8 !== register.width || event.value === undefined) return [];
    const value = BigInt(event.value);
    return Object.entries(register.fields).map(([name, place]) => [name, bits(value, place)]);
  }
  line(event) {
    const value = event.value === undefined ? "" : event.value;
    const where = event.register || (event.bar !== undefined ? `BAR ${event.bar} + ${event.offset}` : event.offset || "");
    switch (event.kind) {
      case "read": return `${where} → ${value}`;
      case "write": return `${where} ← ${value}`;
      case "config-read": return `config ${event.offset} → ${value}`;
      case "config-write": return `config ${event.offset} ← ${value}`;
      case "dma-read": case "dma-write": return `${event.about ? `${event.about} · ` : ""}${event.size} B at ${event.offset}`;
      case "frame-sent": case "frame-received": return `${event.frame || "frame"} · ${event.size} B`;
      case "interrupt": return (event.text || "").startsWith("INTX") ? event.text.replace("INTX", "INTx goes high") : `${event.text || ""} vector ${parseInt(value || 0, 16)}`;
      default: return `${event.kind} ${event.text || ""}`;
    }
  }
}

// -- the page -----------------------------------------------------------------------------------------------------------

const data = JSON.parse($("data").textContent);
const recordings = data.devices.map((one) => new Recording(one));
const view = { recording: recordings[0], chosen: 0, from: 0, to: 1, following: data.live, open: new Set(), shown: [], css: {} };
const position = (at) => {
  const { recording } = view;
  const mode = $("axis").value;
  if (mode === "events") return at;
  return mode === "cut" ? recording.cut[at] : recording.events[at].time - recording.events[0].time;
};
const length = () => (view.recording.events.length ? Math.max(position(view.recording.events.length - 1), 1e-6) : 1);

// The lanes of this device: one without a cable has none for frames.
const lanes = () => (view.recording.framed ? LANES : UNFRAMED);

function place(kind) {
  const lane = lanes().findIndex((one) => one.kinds.includes(kind));
  return lane < 0 ? lanes().length - 1 : lane;
}

function search(value, low = 0, high = view.recording.events.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (position(middle) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const GUTTER = 126;

function canvas(id) {
  const one = $(id);
  const scale = window.devicePixelRatio || 1;
  const { width, height } = one.getBoundingClientRect();
  if (one.width !== Math.round(width * scale) || one.height !== Math.round(height * scale)) {
    one.width = Math.round(width * scale);
    one.height = Math.round(height * scale);
  }
  const pen = one.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

function colours() {
  const style = getComputedStyle(document.body);
  for (const name of ["--read", "--write", "--fetch", "--store", "--frame", "--irq", "--fault", "--line", "--dim", "--soft", "--ink", "--rust", "--card", "--sunk", "--warn-soft", "--stage", "--own-soft"]) view.css[name] = style.getPropertyValue(name).trim();
  view.css.sans = style.getPropertyValue("--sans");
}

function drawLanes() {
  const { pen, width, height } = canvas("lanes");
  const { recording, css } = view;
  const top = 6;
  const lane = (height - top - 22) / lanes().length;
  const wide = width - GUTTER - 8;
  const x = (value) => GUTTER + ((value - view.from) / (view.to - view.from)) * wide;
  pen.font = `12px ${css.sans}`;
  pen.textBaseline = "middle";
  lanes().forEach((one, number) => {
    const y = top + number * lane;
    pen.fillStyle = number % 2 ? css["--card"] : css["--sunk"];
    pen.fillRect(GUTTER, y, wide, lane);
    pen.fillStyle = css["--soft"];
    pen.textAlign = "right";
    pen.fillText(one.name, GUTTER - 10, y + lane / 2);
  });
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, 0, wide, height);
  pen.clip();
  const first = Math.max(0, search(view.from) - 1);
  const end = Math.min(recording.events.length, search(view.to) + 1);
  const band = (intervals, row, from, high, colour, label) => {
    pen.fillStyle = colour;
    for (const [begin, over] of intervals) {
      if (begin >= end || (over !== null && over < first)) continue;
      const left = x(position(begin));
      const right = over === null ? x(length()) : x(position(over));
      pen.fillRect(left, top + row * lane + from * lane, Math.max(1, right - left), high * lane);
      if (label && right - left > 74) {
        pen.save();
        pen.fillStyle = css["--irq"];
        pen.textAlign = "left";
        pen.fillText(label, Math.max(left, GUTTER) + 6, top + row * lane + lane / 2);
        pen.restore();
      }
    }
  };
  const irq = place("interrupt");
  band(recording.masked, irq, 0, 1, css["--warn-soft"], "masked: the driver polls");
  band(recording.high, irq, 0.78, 0.16, css["--irq"]);
  let lastPause = -100;
  for (let at = first; at < end; at++) {
    const event = recording.events[at];
    const here = x(position(at));
    if (at && $("axis").value !== "time") {
      const gap = event.time - recording.events[at - 1].time;
      const left = x(position(at - 1));
      if (gap > 0.02 && here - left > 5 && here - lastPause > 72) {
        const middle = (left + here) / 2;
        pen.strokeStyle = css["--line"];
        pen.setLineDash([3, 3]);
        pen.beginPath();
        pen.moveTo(middle, top);
        pen.lineTo(middle, height - 18);
        pen.stroke();
        pen.setLineDash([]);
        pen.fillStyle = css["--dim"];
        pen.textAlign = "center";
        pen.font = `11px ${css.sans}`;
        pen.fillText(`⋯ ${span(gap)}`, middle, height - 9);
        pen.font = `12px ${css.sans}`;
        lastPause = here;
      }
    }
    const row = place(event.kind);
    const one = lanes()[row];
    pen.fillStyle = css[one.tone];
    if (row === lanes().length - 1 && event.kind !== "fault" && event.kind !== "refused") pen.fillStyle = css["--stage"];
    const y = top + row * lane;
    if (one.box) {
      pen.fillRect(here - 2, y + 3, 4, lane - 6);
      const next = nextOf(at, event.kind, end);
      const room = (next === null ? GUTTER + wide : x(position(next))) - here - 12;
      if (room > 40) {
        pen.save();
        pen.beginPath();
        pen.rect(here + 5, y, room, lane);
        pen.clip();
        pen.textAlign = "left";
        pen.fillText(event.frame || `${event.size} B`, here + 6, y + lane / 2);
        pen.restore();
      }
    } else pen.fillRect(here - 0.75, y + 4, 1.5, lane - 8);
  }
  if (recording.events.length) {
    const here = x(position(view.chosen));
    pen.strokeStyle = css["--rust"];
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(here, 0);
    pen.lineTo(here, height);
    pen.stroke();
    const row = place(recording.events[view.chosen].kind);
    pen.strokeRect(here - 4, top + row * lane + 1.5, 8, lane - 3);
    pen.lineWidth = 1;
  }
  pen.restore();
  if ($("axis").value === "time") drawTicks(pen, x, height, wide);
}

function nextOf(at, kind, end) {
  const { events } = view.recording;
  for (let next = at + 1; next < end; next++) if (events[next].kind === kind) return next;
  return null;
}

function drawTicks(pen, x, height, wide) {
  const { css } = view;
  const rough = ((view.to - view.from) / wide) * 110;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * ten).find((one) => one >= rough);
  pen.fillStyle = css["--dim"];
  pen.textAlign = "center";
  pen.font = `11px ${css.sans}`;
  for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) pen.fillText(tick ? span(tick) : "0", x(tick), height - 9);
}

function drawOverview() {
  const { pen, width, height } = canvas("overview");
  const { recording, css } = view;
  const wide = width - GUTTER - 8;
  const counts = new Uint32Array(Math.max(1, Math.floor(wide / 2)));
  const whole = length();
  for (let at = 0; at < recording.events.length; at++) counts[Math.min(counts.length - 1, Math.floor((position(at) / whole) * counts.length))]++;
  const most = Math.max(1, ...counts);
  pen.fillStyle = css["--stage"];
  counts.forEach((count, at) => {
    if (!count) return;
    const high = 3 + (height - 8) * (Math.log2(1 + count) / Math.log2(1 + most));
    pen.fillRect(GUTTER + at * 2, height - 3 - high, 1.5, high);
  });
  const left = GUTTER + (view.from / whole) * wide;
  const right = GUTTER + (view.to / whole) * wide;
  pen.strokeStyle = css["--rust"];
  pen.strokeRect(left, 2.5, Math.max(3, right - left), height - 5);
  pen.font = `11px ${css.sans}`;
  pen.fillStyle = css["--dim"];
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillText("whole recording", GUTTER - 10, height / 2);
}

// -- what happened ------------------------------------------------------------------------------------------------------

function sentence(event) {
  const { recording } = view;
  const code = (text) => element("b", "", text);
  const device = element("span", `subject ${event.kind}`, recording.device.model);
  const driver = element("span", `subject ${event.kind}`, "The driver");
  const register = event.register || (event.bar !== undefined ? `BAR ${event.bar} + ${event.offset}` : event.offset);
  const named = recording.fields(event).filter(([, value]) => value);
  const fields = named.length ? ` (${named.map(([name, value]) => `${name}=${value < 10n ? value : hex(value)}`).join(" ")})` : "";
  const about = event.about ? `: ${event.about}` : "";
  switch (event.kind) {
    case "read": return [driver, " reads ", code(register), " and gets ", code(event.value), fields];
    case "write": return [driver, " writes ", code(event.value), " to ", code(register), fields];
    case "config-read": return [driver, " or the kernel reads ", code(event.value), ` at ${event.offset} of the configuration space`];
    case "config-write": return [driver, " or the kernel writes ", code(event.value), ` to ${event.offset} of the configuration space`];
    case "dma-read": return [device, " reads ", code(`${event.size} B`), " of memory at ", code(event.offset), about];
    case "dma-write": return [device, " writes ", code(`${event.size} B`), " to memory at ", code(event.offset), about];
    case "frame-sent": return [device, " sends a frame of ", code(`${event.size} B`), `: ${event.frame || ""} · ${event.ends || ""}`];
    case "frame-received": return [device, " receives a frame of ", code(`${event.size} B`), `: ${event.frame || ""} · ${event.ends || ""}`];
    case "interrupt": return [device, " interrupts: ", code(recording.line(event))];
    case "reset": return [device, ` is reset: ${event.text || ""}`];
    default: return [device, ` · ${event.kind}: ${event.text || ""}`];
  }
}

function effects(event, before) {
  const { recording } = view;
  const said = [];
  for (const [slot, value] of event.values || []) {
    const old = before.values[slot];
    if (said.length < 8) said.push(element("code", "", `${recording.slots[slot].name}: ${old === null ? "?" : hex(old)} → ${hex(BigInt(value))}`));
  }
  if ((event.values || []).length > 8) said.push(`${event.values.length - 8} more registers`);
  for (const change of event.rings || []) {
    const ring = recording.rings[change.ring];
    if (change.address !== undefined) said.push(`the ${ring.name} ring is now ${change.count} descriptors at ${change.address}`);
    else {
      const numbers = change.entries.slice(0, 6).map(([index]) => index).join(", ");
      said.push(`${ring.name} descriptor${change.entries.length > 1 ? "s" : ""} ${numbers}${change.entries.length > 6 ? " …" : ""} changed in memory`);
    }
  }
  if (event.level !== undefined) said.push(event.level ? "INTx is high" : "INTx is low");
  if (event.data && event.kind.startsWith("dma") && !event.about.includes("descriptor")) said.push(element("code", "", event.data.slice(0, 64).replace(/../g, "$& ")));
  return said.flatMap((one, number) => (number ? [" · ", one] : [one]));
}

// -- rings --------------------------------------------------------------------------------------------------------------

function owner(ring, state, head, tail, index) {
  if (head !== null && tail !== null && state.count && head < state.count && tail < state.count) {
    const many = (tail - head + state.count) % state.count;
    if ((index - head + state.count) % state.count < many) return "device";
  }
  const entry = state.entries.get(index);
  return ring.done && entry && bits(little(entry), ring.fields[ring.done]) ? "done" : "free";
}

const WORDS = { device: "the device's", done: "used by the device", free: "the driver's" };

function drawRings(state, event) {
  const { recording } = view;
  const changed = new Map((event.rings || []).map((change) => [change.ring, new Set(change.entries.map(([index]) => index))]));
  const parts = recording.rings.map((ring, number) => {
    const one = state.rings[number];
    const value = (name) => { const found = state.values[recording.slotOf[name]]; return found === null ? null : Number(found); };
    const [head, tail] = [value(ring.head), value(ring.tail)];
    const count = Math.min(one.count, 4096);
    const states = Array.from({ length: count }, (_, index) => owner(ring, one, head, tail, index));
    return drawRing({ ring, number, one, head, tail, count, states, news: changed.get(number) || new Set() });
  });
  $("rings").replaceChildren(...parts, ringKey());
}

function ringKey() {
  const dot = (name) => element("span", `dot ${name}`);
  return element("p", "key-line ring", dot("device"), WORDS.device, dot("done"), WORDS.done, dot("free"), WORDS.free, " · outlined: changed by this event");
}

function drawRing({ ring, number, one, head, tail, count, states, news }) {
  const picture = svg("svg", { viewBox: "-112 -112 224 224", role: "img", "aria-label": `${ring.name} ring` });
  const parts = Math.min(count, 256);
  const each = count / (parts || 1);
  const at = (index, radius) => {
    const angle = (index / (count || 1)) * 2 * Math.PI - Math.PI / 2;
    return [Math.cos(angle) * radius, Math.sin(angle) * radius];
  };
  if (!count) picture.append(svg("circle", { r: 78, fill: "none", stroke: "var(--line)", "stroke-width": 26, "stroke-dasharray": "4 6" }));
  for (let part = 0; part < parts; part++) {
    const [begin, end] = [Math.floor(part * each), Math.floor((part + 1) * each)];
    const inside = states.slice(begin, end);
    const kind = ["device", "done", "free"].find((name) => inside.includes(name));
    const fresh = [...news].some((index) => index >= begin && index < end);
    const [a, b, c, d] = [at(begin, 92), at(end - 0.001, 92), at(end - 0.001, 64), at(begin, 64)];
    const large = (end - begin) / count > 0.5 ? 1 : 0;
    const path = `M${a} A92 92 0 ${large} 1 ${b} L${c} A64 64 0 ${large} 0 ${d} Z`;
    const slot = svg("path", { d: path, class: `slot ${kind}${parts > 96 ? " many" : ""}${fresh ? " changed" : ""}` });
    slot.append(svg("title", {}, `${begin}${end - begin > 1 ? `–${end - 1}` : ""}: ${WORDS[kind]}`));
    slot.addEventListener("click", () => { view.focus = { ...view.focus, [number]: begin }; draw(); });
    picture.append(slot);
  }
  for (const [name, index, inner] of [["head", head, true], ["tail", tail, false]]) {
    if (index === null || !count || index >= count) continue;
    const tip = at(index + 0.5, inner ? 62 : 94);
    const [left, right] = [at(index + 0.5, inner ? 50 : 106), at(index + 0.5, inner ? 50 : 106)];
    const angle = ((index + 0.5) / count) * 2 * Math.PI;
    const [dx, dy] = [Math.cos(angle) * 5, Math.sin(angle) * 5];
    picture.append(svg("path", { d: `M${tip} L${left[0] - dx} ${left[1] - dy} L${right[0] + dx} ${right[1] + dy} Z`, class: name }));
  }
  const mine = states.filter((state) => state === "device").length;
  const text = (words, y, name) => svg("text", { y, class: name || "" }, words);
  if (count) {
    picture.append(text(`${mine} of ${one.count}`, -12, "big"), text("for the device", 4, "small"));
    picture.append(text(`head ${head ?? "?"}`, 22, "head"), text(`tail ${tail ?? "?"}`, 37, "tail"));
  } else picture.append(text("not set up", 4, "small"));
  const bar = element("div", "bar", element("h2", "", `${ring.name[0].toUpperCase()}${ring.name.slice(1)} ring`));
  if (count) bar.append(element("span", "quiet", `${one.count} × ${ring.size} B at ${hex(one.address)}`));
  return element("div", "ring", bar, element("div", "body", picture, count ? table({ ring, number, one, head, tail, count, states, news }) : element("p", "quiet", "The driver has given it no memory at this event.")));
}

function table({ ring, number, one, head, tail, count, states, news }) {
  const fresh = news.size && news.size < count ? Math.min(...news) : null;
  const focus = view.focus?.[number] ?? fresh ?? Math.max(0, (head || 0) - 3);
  const rows = Math.min(count, 8);
  const begin = view.focus?.[number] !== undefined || fresh !== null ? focus - 2 : focus;
  const plain = Object.entries(ring.fields).filter(([, [high, low]]) => high > low);
  const flags = Object.entries(ring.fields).filter(([, [high, low]]) => high === low);
  const shown = plain.slice(0, 2);
  const body = element("table", "", element("tr", "", element("th", "", ""), element("th", "", ""), ...shown.map(([name]) => element("th", "", name)), element("th", "", "flags")));
  for (let row = 0; row < rows; row++) {
    const index = (((begin + row) % count) + count) % count;
    const entry = one.entries.get(index);
    const value = entry ? little(entry) : null;
    const line = element("tr", news.has(index) ? "changed" : "");
    const ends = [index === head ? element("span", "ends", " head") : null, index === tail ? element("span", "ends tail-end", " tail") : null];
    line.append(element("td", "", element("span", `dot ${states[index]}`), ` ${index}`), element("td", "", ...ends));
    line.title = `${WORDS[states[index]]}${value === null ? "" : "\n" + plain.map(([name, place]) => `${name} ${hex(bits(value, place))}`).join("\n")}`;
    for (const [name, place] of shown) line.append(element("td", "", value === null ? "?" : name === ring.buffer[1] ? String(bits(value, place)) : hex(bits(value, place))));
    const cell = element("td", "");
    if (value !== null) for (const [name, place] of flags) if (bits(value, place)) cell.append(element("span", name === ring.done ? "set" : "", name), " ");
    line.append(cell);
    body.append(line);
  }
  return body;
}

// -- registers ----------------------------------------------------------------------------------------------------------

function drawRegisters(state, before, event) {
  const { recording } = view;
  const wanted = $("named").value.trim().toLowerCase();
  const changed = new Set((event.values || []).map(([slot]) => slot));
  const rows = [];
  for (const slot of recording.order) {
    const register = recording.slots[slot];
    if (wanted ? !register.name.toLowerCase().includes(wanted) : !$("every").checked && !recording.touched.has(slot)) continue;
    if (rows.length >= 400) break;
    rows.push(drawRegister(slot, register, state.values[slot], changed.has(slot) ? before.values[slot] : undefined, event.slot === slot));
  }
  const list = $("registers");
  const top = list.scrollTop;
  list.replaceChildren(...(rows.length ? rows : [element("p", "quiet", "No such register.")]));
  list.scrollTop = top;
  const target = list.querySelector(".touched") || list.querySelector(".changed");
  if (target && (target.offsetTop - list.offsetTop < list.scrollTop || target.offsetTop - list.offsetTop > list.scrollTop + list.clientHeight - 60)) list.scrollTop = target.offsetTop - list.offsetTop - 80;
}

function drawRegister(slot, register, value, old, touched) {
  const fields = Object.entries(register.fields).sort((a, b) => b[1][0] - a[1][0]);
  const open = view.open.has(slot);
  const said = element("span", "");
  if (old !== undefined && old !== null) said.append(element("span", "old", hex(old, register.width)), " ");
  if (value !== null && !open) for (const [name, place] of fields) if (bits(value, place)) {
    const found = bits(value, place);
    const fresh = old !== undefined && old !== null && bits(old, place) !== found;
    said.append(element("span", `flag${fresh ? " on" : ""}`, place[0] === place[1] ? name : `${name} ${found < 10n ? found : hex(found)}`));
  }
  const shown = value === null ? element("span", "unknown", "not seen") : element("span", "", hex(value, register.width));
  const row = element("div", `reg${old !== undefined ? " changed" : ""}${touched ? " touched" : ""}`, element("div", "line", element("b", "", register.name), shown, said));
  row.title = `BAR ${register.bar} + ${hex(BigInt(register.offset))}, ${register.width} bits, ${register.access.replace("AccessType.", "")}`;
  if (open) row.append(element("table", "", ...fields.map(([name, place]) => {
    const found = value === null ? null : bits(value, place);
    return element("tr", found ? "" : "zero", element("td", "", place[0] === place[1] ? `${place[0]}` : `${place[0]}:${place[1]}`), element("td", "", name), element("td", "", found === null ? "?" : found < 10n ? String(found) : hex(found)));
  })), element("p", "quiet", row.title));
  row.addEventListener("click", () => { open ? view.open.delete(slot) : view.open.add(slot); draw(); });
  return row;
}

// -- events -------------------------------------------------------------------------------------------------------------

function filterEvents() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const { events } = view.recording;
  view.shown = [];
  events.forEach((event, at) => {
    if (words.every((word) => event.line.includes(word) || event.kind.includes(word))) view.shown.push(at);
  });
  $("rows").style.height = `${Math.max(1, view.shown.length) * ROW}px`;
}

function drawEvents() {
  const list = $("list");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3);
  const rows = view.shown.slice(first, first + Math.ceil(list.clientHeight / ROW) + 8);
  const { recording } = view;
  $("rows").replaceChildren(...rows.map((at, row) => {
    const event = recording.events[at];
    const line = element("div", `event ${event.kind}${at === view.chosen ? " chosen" : ""}`, element("span", "n", String(event.number)), element("span", "t", event.time.toFixed(6)), element("span", "dot"), element("span", "", recording.line(event)));
    line.style.top = `${(first + row) * ROW}px`;
    line.title = `${event.kind}: ${recording.line(event)}`;
    line.addEventListener("click", () => choose(at));
    return line;
  }));
}

function showChosen() {
  const list = $("list");
  const row = view.shown.indexOf(view.chosen);
  if (row < 0) return;
  if (row * ROW < list.scrollTop || row * ROW > list.scrollTop + list.clientHeight - ROW) list.scrollTop = row * ROW - list.clientHeight / 3;
}

// -- steps --------------------------------------------------------------------------------------------------------------

function choose(at, { quietly = false } = {}) {
  const { events } = view.recording;
  if (!events.length) return draw();
  view.chosen = Math.max(0, Math.min(events.length - 1, at));
  if (!quietly) {
    view.following = data.live && view.chosen === events.length - 1;
    history.replaceState(null, "", `#${events[view.chosen].number}`);
  }
  view.focus = {};
  const here = position(view.chosen);
  if (here < view.from || here > view.to) {
    const wide = view.to - view.from;
    view.from = Math.max(0, Math.min(here - wide / 2, length() - wide));
    view.to = view.from + wide;
  }
  showChosen();
  draw();
}

function jump(way) {
  const wanted = $("kind").value;
  const { events } = view.recording;
  for (let at = view.chosen + way; at >= 0 && at < events.length; at += way) if (!wanted || events[at].kind === wanted) return choose(at);
}

function zoom(factor, around = position(view.chosen)) {
  const whole = length() * 1.01;
  const wide = Math.max(Math.min((view.to - view.from) * factor, whole), $("axis").value === "events" ? 8 : 2e-6);
  const share = (around - view.from) / (view.to - view.from || 1);
  view.from = Math.max(0, Math.min(around - share * wide, whole - wide));
  view.to = view.from + wide;
  draw();
}

function whole() {
  view.from = 0;
  view.to = length() * 1.01;
}

function draw() {
  if (view.pending) return;
  view.pending = requestAnimationFrame(() => {
    view.pending = null;
    drawNow();
  });
}

function drawNow() {
  const { recording } = view;
  const { events } = recording;
  drawLanes();
  drawOverview();
  drawEvents();
  if (!events.length) {
    $("sentence").replaceChildren(data.live ? "Waiting for the first access to the device …" : "The recording has no events.");
    drawRings(recording.base, {});
    drawRegisters(recording.base, recording.base, {});
    return;
  }
  const event = events[view.chosen];
  const old = recording.state(view.chosen - 1);
  // The one state object moves on: what is needed of the state before is copied.
  const before = { values: old.values.slice() };
  const state = recording.state(view.chosen);
  $("sentence").replaceChildren(...sentence(event));
  $("effects").replaceChildren(...effects(event, before));
  $("position").textContent = `event ${event.number} of ${events.at(-1).number} · ${event.time.toFixed(6)} s`;
  drawRings(state, event);
  drawRegisters(state, before, event);
}

function show(recording) {
  view.recording = recording;
  view.open.clear();
  view.focus = {};
  $("device").textContent = recording.device.model;
  $("about").textContent = recording.device.about;
  document.querySelector(".panes").classList.toggle("no-rings", !recording.rings.length);
  $("rings").hidden = !recording.rings.length;
  filterEvents();
  whole();
  const asked = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : -1;
  const at = asked < 0 ? recording.events.length - 1 : recording.events.findIndex((event) => event.number >= asked);
  choose(at < 0 ? recording.events.length - 1 : at, { quietly: true });
}

function listen() {
  const stream = new EventSource("events");
  stream.addEventListener("more", (message) => {
    const { device, events } = JSON.parse(message.data);
    const recording = recordings[device];
    const last = recording.events.at(-1)?.number ?? events[0].number - 1;
    const fresh = events.filter((event) => event.number > last);
    // Events came faster than they could be sent, or more than a page should hold: the server has the last ones.
    if ((fresh.length && fresh[0].number > last + 1) || recording.events.length > recording.most) {
      stream.close();
      $("live").textContent = "many events: the page begins anew";
      setTimeout(() => location.reload(), 1500);
      return;
    }
    recording.append(fresh);
    if (recording !== view.recording) return;
    const all = view.to >= length() * 0.9 || recording.events.length === fresh.length;
    filterEvents();
    if (view.following || all) whole();
    if (view.following) choose(recording.events.length - 1, { quietly: true });
    else draw();
  });
  const over = (text) => { $("live").textContent = text; $("live").classList.add("over"); stream.close(); };
  stream.addEventListener("over", (message) => over(JSON.parse(message.data)));
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) over("the server is gone"); };
}

function begin() {
  colours();
  $("kind").append(...["", ...KINDS].map((kind) => { const one = element("option", "", kind || "any event"); one.value = kind; return one; }));
  $("kind").value = "write";
  if (recordings.length > 1) {
    $("devices").hidden = false;
    $("device").hidden = true;
    $("devices").append(...recordings.map((one, number) => { const option = element("option", "", `${one.device.model} ${one.device.address}`); option.value = number; return option; }));
    $("devices").addEventListener("change", () => show(recordings[$("devices").value]));
  }
  const press = { first: () => choose(0), before: () => choose(view.chosen - 1), after: () => choose(view.chosen + 1), last: () => choose(Infinity), jump: () => jump(1), "jump-back": () => jump(-1), closer: () => zoom(0.5), farther: () => zoom(2), whole: () => { whole(); draw(); } };
  for (const [id, action] of Object.entries(press)) $(id).addEventListener("click", action);
  const keys = { ArrowRight: (event) => (event.shiftKey ? jump(1) : choose(view.chosen + 1)), ArrowLeft: (event) => (event.shiftKey ? jump(-1) : choose(view.chosen - 1)), Home: press.first, End: press.last, "+": press.closer, "=": press.closer, "-": press.farther, 0: press.whole };
  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key](event);
  });
  $("axis").addEventListener("change", () => { whole(); draw(); });
  $("search").addEventListener("input", () => { filterEvents(); drawEvents(); });
  $("every").addEventListener("change", draw);
  $("named").addEventListener("input", draw);
  $("list").addEventListener("scroll", drawEvents);
  const axis = $("lanes");
  const value = (event) => view.from + ((event.offsetX - GUTTER) / (axis.clientWidth - GUTTER - 8)) * (view.to - view.from);
  axis.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : 0.8, value(event)); }, { passive: false });
  let drag = null;
  axis.addEventListener("pointerdown", (event) => { drag = { x: event.offsetX, from: view.from, moved: false }; axis.setPointerCapture(event.pointerId); });
  axis.addEventListener("pointermove", (event) => {
    if (!drag || Math.abs(event.offsetX - drag.x) < 4) return;
    drag.moved = true;
    const wide = view.to - view.from;
    view.from = Math.max(0, Math.min(drag.from - ((event.offsetX - drag.x) / (axis.clientWidth - GUTTER - 8)) * wide, length() * 1.01 - wide));
    view.to = view.from + wide;
    draw();
  });
  axis.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && view.recording.events.length) pick(value(event), Math.floor((event.offsetY - 6) / ((axis.clientHeight - 28) / lanes().length)));
    drag = null;
  });
  $("overview").addEventListener("pointerdown", (event) => {
    const here = ((event.offsetX - GUTTER) / ($("overview").clientWidth - GUTTER - 8)) * length();
    const wide = view.to - view.from;
    view.from = Math.max(0, Math.min(here - wide / 2, length() * 1.01 - wide));
    view.to = view.from + wide;
    draw();
  });
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", () => show(view.recording));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours(); draw(); });
  show(recordings[0]);
  if (data.live) listen();
}

// The event nearest to a click, of the lane that was clicked if it has one near.
function pick(value, row) {
  const { events } = view.recording;
  const middle = search(value);
  const reach = ((view.to - view.from) / ($("lanes").clientWidth || 1)) * 8;
  let best = null;
  for (const way of [-1, 1]) {
    for (let at = way < 0 ? middle - 1 : middle; at >= 0 && at < events.length; at += way) {
      const far = Math.abs(position(at) - value);
      if (far > reach && best !== null) break;
      const cost = far + (place(events[at].kind) === row ? 0 : reach);
      if (best === null || cost < best.cost) best = { at, cost };
      if (far > reach) break;
    }
  }
  if (best) choose(best.at);
}

begin();
