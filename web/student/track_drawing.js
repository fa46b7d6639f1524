// The picture of a track.
import { h, icon } from "../shared/dom.js";

const DRAWINGS = { DP: "data", FSD: "code" };

export function trackDrawing(track) {
  const name = DRAWINGS[track] ?? "check";
  return h("div", { class: `art art-${name}` }, icon(name));
}
