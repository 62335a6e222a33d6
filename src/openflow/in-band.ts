// In-band control: flows that let a bridge reach its controllers through itself, whatever is in its
// tables.
//
// They are in table 0 above any priority that OpenFlow can name, so connections neither see nor
// change them; packets that match them are forwarded as by a plain switch. A set for the bridge's
// own address (DHCP, ARP), one for each controller's address (ARP), one for its TCP port. What the
// real switch adds for the next hop's address is missing: the devices here know no routes to hosts,
// which the log says each second, as Open vSwitch does of its dummy devices. The order in which
// equal flows come follows from Open vSwitch's hash of them. Reference: ovs: ofproto/in-band.c.

import { formatIpv4 } from "../lib/address.ts";
import { hashBytes } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { ETH_TYPE, IP_PROTO } from "../flow/flow-is.ts";
import { fill, K } from "../flow/flow-key.ts";
import { type Match, matchSlot, newMatch } from "../flow/match.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Action } from "./actions/types.ts";
import type { Ofproto } from "./ofproto.ts";

/** Address and TCP port of a controller or manager. */
export interface Remote {
  readonly ip: number;
  readonly port: number;
}

/** Priorities tell what a flow is for; they all do the same. */
const PRIORITY = {
  FROM_LOCAL_DHCP: 180000,
  TO_LOCAL_ARP: 180001,
  FROM_LOCAL_ARP: 180002,
  TO_REMOTE_ARP: 180005,
  FROM_REMOTE_ARP: 180006,
  TO_REMOTE_TCP: 180007,
  FROM_REMOTE_TCP: 180008,
} as const;

const DHCP = { SERVER_PORT: 67, CLIENT_PORT: 68 } as const;
const ARP_OP = { REQUEST: 1, REPLY: 2 } as const;

/** Bytes of Open vSwitch's flow structure, and where the fields of these flows stand in it. */
const STRUCT_BYTES = 672;
const PLACES = {
  in_port: { at: 428, bytes: 2 },
  dl_dst: { at: 472, bytes: 6 },
  dl_src: { at: 478, bytes: 6 },
  dl_type: { at: 484, bytes: 2 },
  nw_src: { at: 512, bytes: 4 },
  nw_dst: { at: 516, bytes: 4 },
  nw_proto: { at: 599, bytes: 1 },
  tp_src: { at: 656, bytes: 2 },
  tp_dst: { at: 658, bytes: 2 },
} as const;
type Place = keyof typeof PLACES;
type Fields = Readonly<Partial<Record<Place, number>>>;

const ROUTE_LIMIT = { name: "in_band", rate: 60, burst: 60 };

interface InBandRule {
  readonly key: string;
  readonly match: Match;
  readonly priority: number;
  wanted: boolean;
}

/** The hash by which Open vSwitch keeps a flow (ovs: match_hash). All fields are exact. */
function matchHash(fields: Fields): number {
  const flow = new Uint8Array(STRUCT_BYTES);
  const mask = new Uint8Array(STRUCT_BYTES);
  for (const [name, value] of Object.entries(fields)) {
    const { at, bytes } = PLACES[name as Place];
    for (let i = 0, rest = value; i < bytes; i++) {
      flow[at + bytes - 1 - i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    mask.fill(0xff, at, at + bytes);
    if (name === "in_port") {
      // The only field here in the machine's own byte order.
      flow.subarray(at, at + bytes).reverse();
    }
  }
  return hashBytes(mask, hashBytes(flow, 0));
}

function matchOf(fields: Fields): Match {
  const match = newMatch();
  for (const [name, value] of Object.entries(fields)) {
    const slot = K[name as Place];
    if (slot.words === 1) {
      matchSlot(match, slot, value);
    } else {
      match.flow[slot.word] = Math.floor(value / 2 ** 32);
      match.flow[slot.word + 1] = value % 2 ** 32;
      fill(match.wc, slot);
    }
  }
  return match;
}

export class InBand {
  readonly #ofproto: Ofproto;
  readonly #rules = new OvsMap<string, InBandRule>((key) => matchHash(JSON.parse(key)));
  #remotes: readonly Remote[] = [];
  #queue = -1;
  #localMac = 0;
  #nextLocalS = Number.NEGATIVE_INFINITY;
  #nextRemoteS = Number.NEGATIVE_INFINITY;

  constructor(ofproto: Ofproto) {
    this.#ofproto = ofproto;
  }

  /** Flows that are installed. */
  get nRules(): number {
    return this.#rules.size;
  }

  /** Whom to reach, and by which queue of the ports; -1 is the default one. */
  configure(remotes: readonly Remote[], queue: number): void {
    const old = this.#remotes;
    this.#queue = queue;
    const same = (r: Remote, i: number) => r.ip === old[i]?.ip && r.port === old[i]?.port;
    if (remotes.length !== old.length || !remotes.every(same)) {
      this.#remotes = remotes;
      this.#nextRemoteS = Number.NEGATIVE_INFINITY;
    }
  }

  /** When addresses are looked at again. */
  wakeMs(): number {
    return 1000 * Math.min(this.#nextLocalS, this.#nextRemoteS);
  }

  /** Brings the flows up to date; false if there is nothing left to do for good. */
  run(nowMs: number): boolean {
    const nowS = Math.floor(nowMs / 1000);
    this.#refresh(nowS);
    this.#update();
    for (const rule of this.#rules.values()) {
      if (rule.wanted) {
        this.#ofproto.addFlow(rule.match, rule.priority, this.#actions());
      } else {
        this.#ofproto.deleteFlow(rule.match, rule.priority);
        this.#rules.delete(rule.key);
      }
    }
    return this.#remotes.length > 0 || this.#rules.size > 0;
  }

  #actions(): Action[] {
    const normal: Action = { kind: "output", port: OFPP.NORMAL, maxLen: 0 };
    return this.#queue < 0 ? [normal] : [{ kind: "set_queue", queueId: this.#queue }, normal];
  }

  /** Looks once a second what the bridge's own address is, and where the controllers are. */
  #refresh(nowS: number): void {
    const { name, log, provider } = this.#ofproto;
    if (nowS >= this.#nextLocalS) {
      this.#nextLocalS = nowS + 1;
      this.#localMac = provider.localMac();
    }
    if (nowS >= this.#nextRemoteS) {
      this.#nextRemoteS = this.#remotes.length > 0 ? nowS + 1 : Number.POSITIVE_INFINITY;
      for (const { ip } of this.#remotes) {
        const text = `${name}: cannot find route for controller (${formatIpv4(ip)})`;
        log.logRl("in_band", "warn", ROUTE_LIMIT, `${text}: Operation not supported`);
      }
    }
  }

  #update(): void {
    for (const rule of this.#rules.values()) {
      rule.wanted = false;
    }
    if (this.#remotes.length > 0 && this.#localMac !== 0) {
      const mac = this.#localMac;
      this.#want(PRIORITY.FROM_LOCAL_DHCP, {
        in_port: OFPP.LOCAL,
        dl_type: ETH_TYPE.IP,
        dl_src: mac,
        nw_proto: IP_PROTO.UDP,
        tp_src: DHCP.CLIENT_PORT,
        tp_dst: DHCP.SERVER_PORT,
      });
      this.#wantArp(PRIORITY.TO_LOCAL_ARP, ARP_OP.REPLY, { dl_dst: mac });
      this.#wantArp(PRIORITY.FROM_LOCAL_ARP, ARP_OP.REQUEST, { dl_src: mac });
    }
    for (const { ip, port } of this.#remotes) {
      this.#wantArp(PRIORITY.TO_REMOTE_ARP, ARP_OP.REPLY, { nw_dst: ip });
      this.#wantArp(PRIORITY.FROM_REMOTE_ARP, ARP_OP.REQUEST, { nw_src: ip });
      const tcp = { dl_type: ETH_TYPE.IP, nw_proto: IP_PROTO.TCP };
      this.#want(PRIORITY.TO_REMOTE_TCP, { ...tcp, nw_dst: ip, tp_dst: port });
      this.#want(PRIORITY.FROM_REMOTE_TCP, { ...tcp, nw_src: ip, tp_src: port });
    }
  }

  #wantArp(priority: number, op: number, fields: Fields): void {
    this.#want(priority, { dl_type: ETH_TYPE.ARP, nw_proto: op, ...fields });
  }

  #want(priority: number, fields: Fields): void {
    const key = JSON.stringify(fields);
    const there = this.#rules.get(key);
    if (there === undefined) {
      this.#rules.set(key, { key, match: matchOf(fields), priority, wanted: true });
    } else {
      there.wanted = true;
    }
  }
}
