// A page that writes a choice into the address stays the same place: the back button leads to the page before it.
window.hrproHistory ??= Object.assign(history, { pushState: (state, unused, url) => {
  const same = new URL(url, location).pathname === location.pathname;
  (same ? history.replaceState : History.prototype.pushState).call(history, state, unused, url);
} });
