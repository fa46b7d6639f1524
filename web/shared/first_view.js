// Loads the modules of the view that the address names, while those of every view load. A page cannot name them in its
// HTML, because a server does not see the hash. It is no module, so it runs as soon as it is loaded. Without it everything
// works, and the first view takes one round trip for each level of imports.
{
  const { dataset } = document.currentScript;
  /** By the name of each module that `import()` loads: all modules that this takes. local/web_files.py writes them. */
  const modules = JSON.parse(dataset.modules ?? "{}");
  const names = (list) => (list ?? "").split(" ").filter(Boolean);

  /** `#/payments/pay_1` -> ["payment", "payments"], `#/refund-requests` -> ["refund_requests"], most specific first. */
  function candidates() {
    const [route, id] = location.hash.replace(/^#\/?/, "").split("/");
    const name = route.replaceAll("-", "_");
    return id ? [name.replace(/s$/, ""), name] : [name];
  }

  const isSignedIn = sessionStorage.getItem("tuition.token") !== null;
  const view = candidates().find((name) => Object.hasOwn(modules, name));
  const opened = isSignedIn ? [view, ...names(dataset.signedIn)] : [names(dataset.public).find((name) => name === view)];
  for (const href of new Set(opened.flatMap((name) => modules[name] ?? []))) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = href;
    document.head.append(link);
  }
}
