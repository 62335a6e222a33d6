// Port numbers of OpenFlow 1.0 (16 bits) and of later versions (32 bits).
//
// A key holds the 16-bit form. Numbers from 0xff00 are reserved and stand at 0xffffff00 in the
// 32-bit form; what lies between has no 16-bit form.
// (ovs: lib/ofp-port.c ofputil_port_from_ofp11, ofputil_port_to_ofp11)

/** First number that is not an ordinary port, in the 16-bit form. */
export const OFPP_MAX = 0xff00;
/** The same in the 32-bit form. */
export const OFPP11_MAX = 0xffffff00;
const OFPP11_OFFSET = OFPP11_MAX - OFPP_MAX;
export const OFPP_NONE = 0xffff;

/** The 32-bit form of a 16-bit port number. */
export function portToOfp11(port: number): number {
  const p = port & 0xffff;
  return p < OFPP_MAX ? p : p + OFPP11_OFFSET;
}

/** The 16-bit form of a 32-bit port number; -1 if it has none. */
export function portFromOfp11(port: number): number {
  if (port < OFPP_MAX) {
    return port;
  }
  return port >= OFPP11_MAX ? port - OFPP11_OFFSET : -1;
}
