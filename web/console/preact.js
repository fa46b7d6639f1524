// Preact, its hooks and htm, unmodified from their npm package (vendor/vendored.json).
export { html, render, useEffect, useRef, useState } from "./vendor/standalone.module.js";
