// Preact, its hooks and htm, unmodified from their npm package (vendor/vendored.json). Use a layout effect
// to set the focus, a field or a listener, so that it is set before a person can press a key in the new view.
export { html, render, useEffect, useLayoutEffect, useRef, useState } from "./vendor/standalone.module.js";
