"use strict";
// Draws what /live sends. Everything else works without it.
const $ = (id) => document.getElementById(id);
const put = (id, text) => { const e = $(id); if (e && e.textContent !== text) e.textContent = text; };
const SVG = "http://www.w3.org/2000/svg";

function attempt(a) {
  const words = $("words");
  const text = a.words || "Nobody is being identified";
  if (words.textContent !== text) words.textContent = text;
  words.className = "words " + a.colour;
  const mean = $("mean");
  const full = a.frames / Math.max(1, a.of);
  // What opens is the middle of the bar.
  mean.max = Math.min(1, Math.max(0.02, 2 * a.required));
  mean.high = a.required;
  mean.optimum = mean.max;
  mean.value = a.mean === null ? 0 : Math.max(0, a.mean) * full;
  put("meanwords", a.mean === null
    ? "no frames yet"
    : `mean similarity ${a.mean.toFixed(2)} over ${a.frames} of ${a.of} frames; ${a.required.toFixed(2)} opens`);
}

function aim(a, faces) {
  if (!a) {
    put("advice", faces.length > 1 ? "One person at a time, please" : "Step in front of the camera");
    for (const id of ["size", "light", "sharp"]) put(id, "–");
    return;
  }
  const advice = a.advice || "Good: the face is large, bright and sharp enough";
  put("advice", advice.charAt(0).toUpperCase() + advice.slice(1));
  put("size", `${a.face_px} pixels wide (at least ${a.least_px})`);
  put("light", `${Math.round(a.light)} of 255`);
  put("sharp", `${a.sharpness.toFixed(2)} (at least ${a.least_sharpness.toFixed(2)})`);
}

function view(v) {
  $("picture").src = "data:image/jpeg;base64," + v.jpeg;
  const boxes = $("boxes");
  boxes.setAttribute("viewBox", `0 0 ${v.width} ${v.height}`);
  boxes.replaceChildren(...v.faces.map((f) => {
    const r = document.createElementNS(SVG, "rect");
    for (const k of ["x", "y", "width", "height"]) r.setAttribute(k, f[k]);
    r.setAttribute("class", v.attempt.colour);
    return r;
  }));
  attempt(v.attempt);
  aim(v.aim, v.faces);
}

function state(s) {
  put("strike", s.up ? (s.strike === "released" ? "released: the door can be opened" : "locked") : "unknown");
  put("mode", s.up ? s.mode : "–");
  put("contact", s.door_open === null ? "no contact" : s.door_open ? "open" : "closed");
  put("alarm", s.alarm || "none");
  put("lockout", s.lockout_left_s === null ? "none" : `another ${s.lockout_left_s} s`);
  put("problem", s.problem || "");
  $("problem").hidden = !s.problem;
  put("enrolment", s.enrolment || "");
  $("enrolling").hidden = !s.enrolment;
  const cancel = $("cancel");
  if (cancel) cancel.hidden = !s.enrolment_runs;
}

let source;
function open() {
  source = new EventSource("/live");
  source.addEventListener("view", (e) => view(JSON.parse(e.data)));
  source.addEventListener("state", (e) => state(JSON.parse(e.data)));
  source.onerror = () => {
    put("problem", "No connection to the gateway; trying again.");
    $("problem").hidden = false;
    // An expired session is not a connection problem: go to the login page.
    fetch("/session").then((r) => { if (r.status === 401) location.href = "/login"; }).catch(() => {});
  };
}
// A page that nobody sees asks for no pictures.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { if (source) source.close(); } else { open(); }
});
open();
