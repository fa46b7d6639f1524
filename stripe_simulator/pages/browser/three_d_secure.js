// The bank's step is over: tell Stripe.js, in the page around this frame.
const done = document.getElementById("done");
parent.postMessage({ type: "three_d_secure_done", intent: done.dataset.intent }, "*");
