// A page that writes a choice into its address adds no history entry: the back button leads to the previous page.
window.hrproHistory ??= Object.assign(history, { pushState: (state, unused, url) => {
  const same = new URL(url, location).pathname === location.pathname;
  (same ? history.replaceState : History.prototype.pushState).call(history, state, unused, url);
} });
