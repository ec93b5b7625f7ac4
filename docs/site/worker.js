/* A page opened from disk may start no worker, so the search of the site runs in a hidden frame there instead. Messages
   arrive later, as those of a worker do: the page does not bear an answer while it asks. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html><title>search</title>";
      this.frame.onload = () => this.start(new URL(address, document.baseURI).href);
      document.documentElement.append(this.frame);
    }
    start(address) {
      const inside = this.frame.contentWindow;
      inside.postMessage = data => setTimeout(() => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      });
      inside.importScripts = () => undefined;
      const script = inside.document.createElement("script");
      script.src = address;
      script.onload = () => {
        this.ready = inside;
        this.waiting.splice(0).forEach(data => this.postMessage(data));
      };
      inside.document.head.append(script);
    }
    postMessage(data) {
      if (this.ready) setTimeout(() => this.ready.dispatchEvent(new MessageEvent("message", { data })));
      else this.waiting.push(data);
    }
    terminate() {
      this.frame.remove();
    }
  };
}
