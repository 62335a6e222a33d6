// Dummy devices that are joined: `options:pstream=punix:FILE` listens, `options:stream=unix:FILE`
// connects, and what one sends the other receives. Here both ends are devices of the same switch;
// no socket is opened, the file name only says who belongs to whom.
//
// Whoever listens sends to all that have connected. Who finds nobody listening tries again after
// 100 ms, and after twice as long each time. ovs: lib/netdev-dummy.c dummy_packet_conn_*,
// lib/reconnect.c.

import type { DummyNetdev } from "../datapath/dummy-netdev.ts";

/** First pause between two attempts to connect. */
const BACKOFF_MS = 100;

interface Active {
  readonly file: string;
  connected: boolean;
  backoffMs: number;
  retryMs: number;
  connectedMs: number;
}

export class DummyStreams {
  private readonly warn: (text: string) => void;
  private readonly listeners = new Map<string, DummyNetdev>();
  private readonly actives = new Map<DummyNetdev, Active>();

  constructor(warn: (text: string) => void) {
    this.warn = warn;
  }

  /** Takes over the options of a device. */
  configure(d: DummyNetdev, options: ReadonlyMap<string, string>, nowMs: number): void {
    const passive = options.get("pstream");
    const active = options.get("stream");
    if (passive !== undefined && active !== undefined) {
      this.warn(`Open failed: both ${passive} and ${active} are configured`);
      return;
    }
    const listensAt = passive === undefined ? null : this.file(passive, "punix:");
    const connectsTo = active === undefined ? null : this.file(active, "unix:");
    if (this.listeningAt(d) !== listensAt || (this.actives.get(d)?.file ?? null) !== connectsTo) {
      this.close(d, nowMs);
      if (listensAt !== null) {
        this.listen(d, listensAt);
      } else if (connectsTo !== null) {
        const a = { connected: false, backoffMs: 0, retryMs: nowMs, connectedMs: 0 };
        this.actives.set(d, { file: connectsTo, ...a });
        this.run(nowMs);
      }
    }
  }

  private file(text: string, scheme: string): string | null {
    if (text.startsWith(scheme)) {
      return text.slice(scheme.length);
    }
    this.warn(`${text}: open failed (Address family not supported by protocol)`);
    return null;
  }

  private listeningAt(d: DummyNetdev): string | null {
    for (const [file, listener] of this.listeners) {
      if (listener === d) {
        return file;
      }
    }
    return null;
  }

  /** Whoever listened there before is heard no more, but keeps what has connected to it. */
  private listen(d: DummyNetdev, file: string): void {
    this.listeners.set(file, d);
  }

  /** Ends all connections of a device. */
  close(d: DummyNetdev, nowMs: number): void {
    const file = this.listeningAt(d);
    this.actives.delete(d);
    if (file !== null) {
      this.listeners.delete(file);
    }
    for (const [other, a] of this.actives) {
      if (d.peers.includes(other)) {
        a.connected = false;
        a.backoffMs = nowMs - a.connectedMs >= a.backoffMs ? BACKOFF_MS : 2 * a.backoffMs;
        a.retryMs = nowMs + a.backoffMs;
      }
    }
    for (const peer of d.peers) {
      peer.peers = peer.peers.filter((p) => p !== d);
    }
    d.peers = [];
  }

  /** Connects whoever is due to try. */
  run(nowMs: number): void {
    for (const [d, a] of this.actives) {
      if (a.connected || nowMs < a.retryMs) {
        continue;
      }
      const listener = this.listeners.get(a.file);
      if (listener === undefined) {
        a.backoffMs = a.backoffMs === 0 ? BACKOFF_MS : 2 * a.backoffMs;
        a.retryMs = nowMs + a.backoffMs;
      } else {
        a.connected = true;
        a.connectedMs = nowMs;
        d.peers = [listener];
        listener.peers = [...listener.peers, d];
      }
    }
  }

  /** Whether a device has connected; null if it does not try. */
  isConnected(d: DummyNetdev): boolean | null {
    return this.actives.get(d)?.connected ?? null;
  }
}
