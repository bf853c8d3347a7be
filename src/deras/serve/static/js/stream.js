// The one stream of the page: connects, notices silence, tries again, and lets go while nobody looks.

const SILENCE = 6000;
const HIDDEN = 30_000;

export class Stream {
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.source = null;
    this.wait = 500;
    this.heard = 0;
    this.boot = null;
    this.timer = setInterval(() => this.look(), 1000);
    document.addEventListener("visibilitychange", () => this.visible());
    addEventListener("online", () => this.again(0));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (e) => { if (e.persisted) this.open(); });
  }

  open() {
    this.close();
    const source = (this.source = new EventSource(this.url));
    this.heard = performance.now();
    source.addEventListener("hello", (e) => {
      this.wait = 500;
      this.heard = performance.now();
      const { boot } = JSON.parse(e.data);
      this.handlers.open(this.boot !== null && this.boot !== boot);
      this.boot = boot;
    });
    source.addEventListener("news", (e) => {
      this.heard = performance.now();
      this.handlers.news(JSON.parse(e.data), e.data.length);
    });
    source.addEventListener("reload", () => this.handlers.reload());
    source.onerror = () => {
      if (source !== this.source) return;
      this.lose();
      this.again(this.wait);
      this.wait = Math.min(this.wait * 1.6, 5000);
    };
  }

  lose() {
    this.close();
    this.handlers.lost();
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.retry);
  }

  again(after) {
    clearTimeout(this.retry);
    if (!this.source) this.retry = setTimeout(() => this.open(), after);
  }

  look() {
    if (this.source && performance.now() - this.heard > SILENCE) {
      this.lose();
      this.again(0);
    }
  }

  visible() {
    clearTimeout(this.sleep);
    if (document.hidden) this.sleep = setTimeout(() => this.close(), HIDDEN);
    else if (!this.source) this.again(0);
  }
}
