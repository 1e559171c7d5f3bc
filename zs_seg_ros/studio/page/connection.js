// The WebSocket to the server: requests with answers, and what the server sends by itself. It connects again and again.

import { decode, encode } from "./packet.js";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 4000;

export class Connection {
  // on: functions by the kind of message ("status", "vocabulary", "frame"), and "state" for "open" and "closed".
  constructor(on) {
    this.on = on;
    this.waiting = new Map();
    this.count = 0;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(`ws://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.wait = FIRST_WAIT_MS; this.on.state("open"); };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      for (const { reject } of this.waiting.values()) reject(new Error("the connection to the studio ended"));
      this.waiting.clear();
      this.on.state("closed");
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(LONGEST_WAIT_MS, 2 * this.wait);
    };
    this.socket = socket;
  }

  get isOpen() { return this.socket.readyState === WebSocket.OPEN; }

  receive(data) {
    const { header, parts } = typeof data === "string" ? { header: JSON.parse(data), parts: {} } : decode(data);
    if (header.is !== "answer") { this.on[header.is]?.(header, parts); return; }
    const request = this.waiting.get(header.to);
    this.waiting.delete(header.to);
    if (!request) return;
    if (header.error) request.reject(new Error(header.error));
    else request.resolve({ ...header, parts });
  }

  // Sends a message without an answer.
  tell(message) { if (this.isOpen) this.socket.send(JSON.stringify(message)); }

  // Sends a request, with bytes by name if there are any, and resolves to its answer.
  ask(message, parts) {
    if (!this.isOpen) return Promise.reject(new Error("there is no connection to the studio"));
    const id = ++this.count;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.socket.send(parts ? encode({ ...message, id }, parts) : JSON.stringify({ ...message, id }));
    return answer;
  }
}
