// A stand-in for Stripe.js. It calls the simulator that serves this file.
// The card fields are in a frame of the simulator's origin. https://docs.stripe.com/js
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const CONNECTION_ERROR = {
    type: "api_connection_error",
    message: "An error occurred with our connection to Stripe. Check your network and try again.",
  };

  class Element {
    constructor(group, type) {
      this.group = group;
      this.type = type;
      this.listeners = {};
    }

    on(name, listener) {
      (this.listeners[name] ??= []).push(listener);
      return this;
    }

    emit(name, fields = {}) {
      for (const listener of this.listeners[name] ?? []) listener({ elementType: this.type, ...fields });
    }

    destroy() {
      this.unmount();
      this.group.element = undefined;
    }
  }

  /**
   * The buttons of wallets. A page under test names them before it loads this script, with the payment method that each
   * one pays with: `window.stripeSimulatorWallets = { googlePay: "pm_card_visa" }`. Without it there are none, as in a
   * browser without wallets. A button pays as soon as the page resolves its click.
   */
  class ExpressCheckoutElement extends Element {
    mount(target) {
      const container = typeof target === "string" ? document.querySelector(target) : target;
      const wallets = Object.entries(window.stripeSimulatorWallets ?? {});
      this.buttons = wallets.map(([wallet, method]) => this.button(wallet, method));
      container.replaceChildren(...this.buttons);
      const available = Object.fromEntries(wallets.map(([wallet]) => [wallet, { available: true }]));
      const shown = Object.fromEntries(wallets.map(([wallet]) => [wallet, true]));
      setTimeout(() => {
        this.emit("ready", { availablePaymentMethods: wallets.length ? shown : undefined });
        this.emit("availablepaymentmethodschange", { paymentMethods: wallets.length ? available : undefined });
      });
    }

    button(wallet, method) {
      const type = wallet.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = { applePay: "Apple Pay", googlePay: "Google Pay", link: "Link" }[wallet] ?? wallet;
      Object.assign(button.style, { width: "100%", color: "#fff", background: "#000", borderColor: "#fff" });
      button.addEventListener("click", () => {
        const resolve = () => {
          this.method = method;
          this.emit("confirm", { expressPaymentType: type, paymentFailed: () => {} });
        };
        this.emit("click", { expressPaymentType: type, resolve, reject: () => {} });
      });
      return button;
    }

    async submit() {
      return {};
    }

    confirm({ clientSecret, returnUrl }) {
      const params = { use_stripe_sdk: true, client_secret: clientSecret, payment_method: this.method };
      if (returnUrl) params.return_url = returnUrl;
      return api(this.group.key, "POST", `${path(clientSecret)}/confirm`, params);
    }

    unmount() {
      for (const button of this.buttons ?? []) button.remove();
    }
  }

  class PaymentElement extends Element {
    constructor(group) {
      super(group, "payment");
      this.pending = new Map();
      this.calls = 0;
    }

    mount(target) {
      const container = typeof target === "string" ? document.querySelector(target) : target;
      const frame = document.createElement("iframe");
      frame.src = `${origin}/_js/element.html`;
      frame.title = "Secure payment input frame";
      frame.name = `__privateStripeFrame${Math.floor(performance.now())}`;
      Object.assign(frame.style, { border: "0", width: "100%", height: "15rem", display: "block" });
      frame.addEventListener("load", () => this.connect(frame), { once: true });
      frame.addEventListener("error", () => this.emit("loaderror", { error: CONNECTION_ERROR }));
      container.replaceChildren(frame);
      this.frame = frame;
    }

    async connect(frame) {
      const { port1, port2 } = new MessageChannel();
      this.port = port1;
      port1.onmessage = ({ data }) => {
        if (data.ready) this.emit("ready");
        if (data.change) this.emit("change", data.change);
        if (data.height) frame.style.height = `${data.height}px`;
        if (data.id) {
          this.pending.get(data.id)(data.result);
          this.pending.delete(data.id);
        }
      };
      const { key, options } = this.group;
      const types = await this.group.types();
      const message = { type: "element", key, types, appearance: frameAppearance(options.appearance) };
      frame.contentWindow.postMessage(message, origin, [port2]);
    }

    call(action, params = {}) {
      if (!this.port)
        return Promise.resolve({ error: { type: "invalid_request_error", message: "The Element is not ready yet." } });
      const id = (this.calls += 1);
      return new Promise((resolve) => {
        this.pending.set(id, resolve);
        this.port.postMessage({ id, action, ...params });
      });
    }

    focus() {
      this.call("focus");
    }
    clear() {
      this.call("clear");
    }

    async submit() {
      const { error, type } = await this.call("submit");
      return error ? { error } : { selectedPaymentMethod: type };
    }

    confirm(params) {
      return this.call("confirm", params);
    }

    unmount() {
      this.frame?.remove();
      this.port?.close();
      this.port = undefined;
    }
  }

  const ELEMENTS = { payment: PaymentElement, expressCheckout: ExpressCheckoutElement };

  /** Converts an appearance to the variables of the frame's stylesheet. */
  function frameAppearance(appearance = {}) {
    const { colorPrimary, colorText, colorBackground, colorDanger, borderRadius, fontFamily } =
      appearance.variables ?? {};
    const custom = {
      primary: colorPrimary,
      text: colorText,
      card: colorBackground,
      danger: colorDanger,
      radius: borderRadius,
      font: fontFamily,
    };
    const dark = appearance.theme === "night";
    const defaults = dark
      ? { "on-primary": "#14162b", quiet: "#b4bccb", line: "#8791a5", rule: "#343949" }
      : { "on-primary": "#fff", quiet: "#4b5565", line: "#7b8494", rule: "#d5dae2" };
    const changes = Object.fromEntries(Object.entries(custom).filter(([, value]) => value));
    return { dark, variables: { ...defaults, ...changes } };
  }

  class Elements {
    constructor(key, options) {
      if (!options.clientSecret && !options.mode)
        throw new Error("elements() needs a clientSecret, or a mode with amount and currency.");
      this.key = key;
      this.options = { ...options };
    }

    /** Returns the types that the intent accepts, or that the page allows if there is no intent yet. */
    async types() {
      const { clientSecret, allowedPaymentMethodTypes } = this.options;
      const { paymentIntent } = clientSecret ? await retrieve(this.key, clientSecret) : {};
      const allowed = paymentIntent?.payment_method_types ?? allowedPaymentMethodTypes;
      return ["card", "us_bank_account"].filter((type) => !allowed || allowed.includes(type));
    }

    create(type) {
      if (!Object.hasOwn(ELEMENTS, type)) throw new Error(`The simulator does not support Elements of type ${type}.`);
      if (this.element) throw new Error(`Can only create one Element of type ${this.element.type}.`);
      this.element = new ELEMENTS[type](this, type);
      return this.element;
    }

    getElement(type) {
      return this.element?.type === type ? this.element : null;
    }

    async update(options) {
      Object.assign(this.options, options);
      const fields = this.getElement("payment");
      if (options.appearance) fields?.call("appearance", { ...frameAppearance(options.appearance) });
      if (options.allowedPaymentMethodTypes) fields?.call("types", { types: await this.types() });
    }

    submit() {
      return this.element.submit();
    }

    /** Stripe refuses an intent that lacks a type that its Elements offer, and accepts one with more. */
    async requireTypesOf(clientSecret) {
      const { allowedPaymentMethodTypes: offered = [] } = this.options;
      const { paymentIntent } = await retrieve(this.key, clientSecret);
      const accepted = paymentIntent?.payment_method_types ?? offered;
      if (!offered.every((type) => accepted.includes(type)))
        throw new Error(`The types of Elements (${offered}) do not match those of the PaymentIntent (${accepted}).`);
    }
  }

  async function api(key, method, path, params) {
    const form = new URLSearchParams({ key, ...params });
    try {
      const response = await (method === "GET"
        ? fetch(`${origin}${path}?${form}`)
        : fetch(origin + path, { method, body: form }));
      const body = await response.json();
      return response.ok ? { paymentIntent: body } : { error: body.error };
    } catch {
      return { error: CONNECTION_ERROR };
    }
  }

  const path = (clientSecret) => `/v1/payment_intents/${clientSecret.split("_secret_")[0]}`;
  const retrieve = (key, clientSecret) => api(key, "GET", path(clientSecret), { client_secret: clientSecret });

  /** Shows the bank's page in a dialog, and resolves when its frame reports the end. */
  function threeDSecure(url) {
    return new Promise((resolve) => {
      const dialog = document.createElement("dialog");
      const frame = document.createElement("iframe");
      dialog.setAttribute("aria-label", "3-D Secure");
      frame.src = `${url}?frame=1`;
      frame.title = "3-D Secure: your bank's step";
      Object.assign(frame.style, { border: "0", width: "100%", height: "100%" });
      Object.assign(dialog.style, {
        padding: "0",
        border: "0",
        width: "min(32rem, 94vw)",
        height: "min(26rem, 90vh)",
        borderRadius: "12px",
        overflow: "hidden",
      });
      dialog.append(frame);
      dialog.addEventListener("cancel", (event) => event.preventDefault());
      const onMessage = (event) => {
        if (
          event.source !== frame.contentWindow ||
          event.origin !== origin ||
          event.data?.type !== "three_d_secure_done"
        )
          return;
        window.removeEventListener("message", onMessage);
        dialog.close();
        dialog.remove();
        resolve();
      };
      window.addEventListener("message", onMessage);
      document.body.append(dialog);
      dialog.showModal();
      frame.addEventListener("load", () => frame.focus());
    });
  }

  window.Stripe = (key) => {
    if (!/^pk_(test|live)_/.test(key ?? "")) throw new Error("Please call Stripe() with your publishable key.");
    const retrievePaymentIntent = (clientSecret) => retrieve(key, clientSecret);

    async function handleNextAction({ clientSecret }) {
      const before = await retrievePaymentIntent(clientSecret);
      if (before.error) return before;
      const action = before.paymentIntent.next_action;
      if (before.paymentIntent.status !== "requires_action") {
        throw new Error(`handleNextAction: the PaymentIntent is ${before.paymentIntent.status}, not requires_action.`);
      }
      if (action.type === "redirect_to_url") {
        location.assign(action.redirect_to_url.url);
        return new Promise(() => {});
      }
      await threeDSecure(action.use_stripe_sdk.stripe_js);
      return outcome(await retrievePaymentIntent(clientSecret));
    }

    /** Converts an intent back in requires_payment_method, whose payment failed, to an error with the intent inside. */
    function outcome(result) {
      const intent = result.paymentIntent;
      if (intent?.status !== "requires_payment_method") return result;
      return { error: { ...intent.last_payment_error, payment_intent: intent } };
    }

    async function confirmPayment({
      elements,
      clientSecret = elements?.options.clientSecret,
      confirmParams = {},
      redirect = "always",
    }) {
      const returnUrl = confirmParams.return_url;
      if (redirect === "always" && !returnUrl) throw new Error("confirmPayment needs confirmParams.return_url.");
      const params = { use_stripe_sdk: true, client_secret: clientSecret, ...(returnUrl && { return_url: returnUrl }) };
      if (confirmParams.payment_method) params.payment_method = confirmParams.payment_method;
      await elements?.requireTypesOf(clientSecret);
      let result = elements
        ? await elements.element.confirm({ clientSecret, returnUrl })
        : await api(key, "POST", `${path(clientSecret)}/confirm`, params);
      if (result.paymentIntent?.status === "requires_action") result = await handleNextAction({ clientSecret });
      if (result.error || redirect !== "always") return result;
      const target = new URL(returnUrl);
      target.searchParams.set("payment_intent", result.paymentIntent.id);
      target.searchParams.set("payment_intent_client_secret", clientSecret);
      target.searchParams.set("redirect_status", "succeeded");
      location.assign(target);
      return new Promise(() => {});
    }

    return {
      elements: (options = {}) => new Elements(key, options),
      confirmPayment,
      confirmCardPayment: (clientSecret, { payment_method: method, return_url: returnUrl } = {}) =>
        confirmPayment({
          clientSecret,
          confirmParams: { payment_method: method, return_url: returnUrl },
          redirect: "if_required",
        }),
      handleNextAction,
      handleCardAction: (clientSecret) => handleNextAction({ clientSecret }),
      retrievePaymentIntent,
    };
  };
  window.Stripe.version = "simulator";
})();
