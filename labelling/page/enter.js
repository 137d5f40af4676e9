// What a launch link opens: keeps the key, tells it to windows that are open, and goes on to the page, whose address has no secret.

const NAME = "landmarks-key", key = document.querySelector("meta[name=key]").content;
sessionStorage.setItem(NAME, key);
new BroadcastChannel(NAME).postMessage({ fresh: key });
location.replace("/");
