// The key that goes with every request for data: the page that a launch link opens has it. A browser sends cookies to all ports of
// this machine, but what a window keeps, and what windows tell each other, is for this server's pages alone.

const NAME = "landmarks-key";
const PATIENCE_MS = 500; // for another window's answer
const windows = new BroadcastChannel(NAME);
let key = sessionStorage.getItem(NAME), heard = () => {};

export const withKey = (headers = {}) => ({ ...headers, "X-Label-Key": key ?? "" });

const given = document.querySelector("meta[name=key]")?.content;
if (given) {
  key = given;
  sessionStorage.setItem(NAME, key);
  windows.postMessage({ fresh: key });
  history.replaceState(null, "", "/"); // an address without the token
}

// fresh: of the launch link that was opened last, perhaps of a new server; known: of a window that was asked
windows.onmessage = ({ data: { fresh, known } }) => {
  if (fresh || (known && !key)) {
    key = fresh ?? known;
    sessionStorage.setItem(NAME, key);
    heard();
  } else if (key && !known) windows.postMessage({ known: key });
};

// a window that was opened without a link asks the others
export async function findKey() {
  if (key) return;
  windows.postMessage({});
  await new Promise((go) => { heard = go; setTimeout(go, PATIENCE_MS); });
}
