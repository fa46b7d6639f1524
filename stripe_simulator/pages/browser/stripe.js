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

    confirm({ clientSecret, params }) {
      return confirmIntent(this.group.key, clientSecret, { ...params, payment_method: this.method });
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
      const intent = clientSecret ? intentOf(await retrieve(this.key, clientSecret)) : undefined;
      const allowed = intent?.payment_method_types ?? allowedPaymentMethodTypes;
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

    /**
     * Stripe refuses an intent that lacks a type that its Elements offer, and accepts one with more. It also refuses a
     * SetupIntent for Elements of a payment, and a PaymentIntent for those of a setup.
     */
    async requireMatch(clientSecret) {
      const { allowedPaymentMethodTypes: offered = [], mode } = this.options;
      const kind = kindOf(clientSecret);
      const { name } = kind;
      if (mode && (mode === "setup") !== (kind === SETUP)) throw new Error(`Elements of mode ${mode} cannot confirm a ${name}.`);
      const accepted = intentOf(await retrieve(this.key, clientSecret))?.payment_method_types ?? offered;
      if (!offered.every((type) => accepted.includes(type)))
        throw new Error(`The types of Elements (${offered}) do not match those of the ${name} (${accepted}).`);
    }
  }

  const PAYMENT = {
    name: "PaymentIntent",
    field: "paymentIntent",
    path: "payment_intents",
    confirm: "confirmPayment",
  };
  const SETUP = { name: "SetupIntent", field: "setupIntent", path: "setup_intents", confirm: "confirmSetup" };
  const kindOf = (clientSecret) => (clientSecret.startsWith("seti_") ? SETUP : PAYMENT);
  const intentOf = ({ paymentIntent, setupIntent }) => paymentIntent ?? setupIntent;

  /** Calls the API about the intent of a client secret. The result has `paymentIntent` or `setupIntent`, or `error`. */
  async function api(key, method, clientSecret, suffix, params) {
    const { field, path: kind } = kindOf(clientSecret);
    const path = `/v1/${kind}/${clientSecret.split("_secret_")[0]}${suffix}`;
    const form = new URLSearchParams({ key, ...params });
    try {
      const response = await (method === "GET"
        ? fetch(`${origin}${path}?${form}`)
        : fetch(origin + path, { method, body: form }));
      const body = await response.json();
      return response.ok ? { [field]: body } : { error: body.error };
    } catch {
      return { error: CONNECTION_ERROR };
    }
  }

  const retrieve = (key, clientSecret) => api(key, "GET", clientSecret, "", { client_secret: clientSecret });
  const confirmIntent = (key, clientSecret, params) => api(key, "POST", clientSecret, "/confirm", params);

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

    /** Throws for the client secret of another kind of intent than a function is for. */
    function requireKind(kind, clientSecret) {
      if (kindOf(clientSecret) !== kind) throw new Error(`This is not the client secret of a ${kind.name}.`);
    }

    async function handleNextAction({ clientSecret }) {
      const before = await retrieve(key, clientSecret);
      if (before.error) return before;
      const { status, next_action: action } = intentOf(before);
      if (status !== "requires_action")
        throw new Error(`handleNextAction: the ${kindOf(clientSecret).name} is ${status}, not requires_action.`);
      if (action.type === "redirect_to_url") {
        location.assign(action.redirect_to_url.url);
        return new Promise(() => {});
      }
      await threeDSecure(action.use_stripe_sdk.stripe_js);
      return outcome(await retrieve(key, clientSecret));
    }

    /** Converts an intent back in requires_payment_method, whose attempt failed, to an error with the intent inside. */
    function outcome(result) {
      const intent = intentOf(result);
      if (intent?.status !== "requires_payment_method") return result;
      if (result.setupIntent) return { error: { ...intent.last_setup_error, setup_intent: intent } };
      return { error: { ...intent.last_payment_error, payment_intent: intent } };
    }

    /** Confirms an intent with the contents of Elements, with a payment method, or with the one that it has. */
    async function confirm(
      kind,
      { elements, clientSecret = elements?.options.clientSecret, confirmParams = {}, redirect = "always" },
    ) {
      requireKind(kind, clientSecret);
      const { return_url: returnUrl, payment_method: method, setup_future_usage: usage } = confirmParams;
      if (redirect === "always" && !returnUrl) throw new Error(`${kind.confirm} needs confirmParams.return_url.`);
      const params = {
        use_stripe_sdk: true,
        client_secret: clientSecret,
        ...(returnUrl && { return_url: returnUrl }),
        ...(usage && { setup_future_usage: usage }),
      };
      await elements?.requireMatch(clientSecret);
      let result = elements
        ? await elements.element.confirm({ clientSecret, params })
        : await confirmIntent(key, clientSecret, { ...params, ...(method && { payment_method: method }) });
      if (intentOf(result)?.status === "requires_action") result = await handleNextAction({ clientSecret });
      if (result.error || redirect !== "always") return result;
      const { id, object } = intentOf(result);
      const target = new URL(returnUrl);
      target.searchParams.set(object, id);
      target.searchParams.set(`${object}_client_secret`, clientSecret);
      target.searchParams.set("redirect_status", "succeeded");
      location.assign(target);
      return new Promise(() => {});
    }

    /** Confirms with the id of a payment method, or with the method that the intent has. */
    const confirmMethod = (kind, clientSecret, confirmParams) =>
      confirm(kind, { clientSecret, confirmParams, redirect: "if_required" });

    async function retrieveOnly(kind, clientSecret) {
      requireKind(kind, clientSecret);
      return retrieve(key, clientSecret);
    }

    return {
      elements: (options = {}) => new Elements(key, options),
      confirmPayment: (options) => confirm(PAYMENT, options),
      confirmSetup: (options) => confirm(SETUP, options),
      confirmCardPayment: (clientSecret, data) => confirmMethod(PAYMENT, clientSecret, data),
      confirmCardSetup: (clientSecret, data) => confirmMethod(SETUP, clientSecret, data),
      confirmUsBankAccountPayment: (clientSecret, data) => confirmMethod(PAYMENT, clientSecret, data),
      confirmUsBankAccountSetup: (clientSecret, data) => confirmMethod(SETUP, clientSecret, data),
      handleNextAction,
      handleCardAction: (clientSecret) => handleNextAction({ clientSecret }),
      retrievePaymentIntent: (clientSecret) => retrieveOnly(PAYMENT, clientSecret),
      retrieveSetupIntent: (clientSecret) => retrieveOnly(SETUP, clientSecret),
    };
  };
  window.Stripe.version = "simulator";
})();
