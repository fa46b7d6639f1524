// Reports the end of the authentication to Stripe.js in the page around this frame.
const result = document.getElementById("done");
parent.postMessage({ type: "three_d_secure_done", intent: result.dataset.intent }, "*");
