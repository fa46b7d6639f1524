// The behavior that every dialog shares. Each app renders its own content.

/**
 * Open a `<dialog>` as a modal. Escape calls `close`, unless `isBusy()`: what has been submitted cannot be canceled.
 * When the dialog closes, the browser returns the focus to where it was.
 */
export function openModal(dialog, { close, isBusy = () => false }) {
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (!isBusy()) close();
  });
  dialog.showModal();
}
