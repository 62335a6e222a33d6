// Random sessions of ovs-vsctl: chains of commands, right and wrong, with every kind of option.
//
// A small grammar: a word `<name>` stands for one of the alternatives of a rule, and spaces divide
// words once all is expanded. Bad values, names and options are part of it on purpose.

import fc from "fast-check";
import { type Rng, randomRange, SeededRng } from "../../src/lib/env.ts";

export interface VsctlSession {
  readonly lines: readonly (readonly string[])[];
}

/** Columns by table, with one or two that do not exist. */
const COLUMNS: Readonly<Record<string, string>> = {
  bridge:
    "name ports mirrors netflow controller fail_mode external_ids other_config datapath_type " +
    "stp_enable protocols flood_vlans mcast_snooping_enable _uuid status flow_tables nosuch",
  port:
    "name interfaces tag trunks vlan_mode qos bond_mode lacp bond_updelay external_ids " +
    "other_config statistics mac _uuid trunk bond",
  interface:
    "name type options ofport_request mac mtu_request external_ids other_config " +
    "ingress_policing_rate lldp bfd ofport error mac_in_use",
  Open_vSwitch:
    "bridges external_ids other_config next_cfg cur_cfg manager_options ssl system_type " +
    "ovs_version db_version datapaths",
  mirror: "name select_all select_src_port output_vlan output_port external_ids",
  qos: "type queues other_config external_ids",
  queue: "dscp other_config",
  controller: "target connection_mode max_backoff role is_connected",
  netflow: "targets active_timeout add_id_to_interface",
  flow_table: "name flow_limit overflow_policy groups prefixes",
  ct_timeout_policy: "timeouts foo",
};

const RECORDS: Readonly<Record<string, string>> = {
  bridge: "<br>",
  port: "<port>",
  interface: "<port>",
  Open_vSwitch: ".",
  mirror: "m0",
  qos: "<port>",
  controller: "<br>",
  netflow: "<br>",
  flow_table: "t0",
};

/** Alternatives of each rule, divided by "|"; "~" is an empty word, "·" a space within one. */
const GRAMMAR: Readonly<Record<string, string>> = {
  br: "br0|br0|br1|br2|f1|nope",
  port: "p1|p1|p2|p3|b0|br0|ghost|x·y",
  key: 'a|b|key|"q·k"',
  val:
    '1|5|"x"|x|true|false|[]|[1,2,3]|1,2|[1,1]|{}|{a=b}|a=b|a=b,c=d|-1|70000|4096|"a·b"|[x,"y·z"]|' +
    "access|trunk|secure|standalone|active|balance-slb|OpenFlow13|OpenFlow10,OpenFlow13|3.14|1e3|" +
    '[|]|{a}|"unterminated|~|@x|tcp:127.0.0.1:1|in-band|linux-htb|0=@x|evict|é',
  op: "=|=|=|=|=|=|?|:",
  rel: "=|!=|<|>|<=|>=|{=}|{!=}|{<}|{>}|{<=}|{>=}|{in}|{not-in}",
  may: "||--may-exist",
  if: "||--if-exists",
  global:
    "-f table|--format=list|-f html|-f csv|-f json|--format=foo|--no-headings|--data=string|" +
    "--data=bare|--data=json|-d bare|--bare|--oneline|--no-wait|--pretty|--max-column-width=9|" +
    "--no-syslog|-vfoo|-vvsctl:off|--vlog|--fo=csv|--timeout=x|--retry|-t 5|--time=3|" +
    "--no-head|--bad|--no|-x|-t0",
  globals: "||||<global>|<global>|<global> <global>",
  mode: "secure|standalone|foo",
  target: "tcp:1.2.3.4:6633|ptcp:16640|foo|tcp:1.1.1.1",
  command:
    "<bridge>|<bridge>|<ports>|<ports>|<ports>|<ask>|<ask>|<remote>|<row>|<row>|<row>|<row>|<row>|" +
    "<rare>",
  bridge:
    "<may> add-br <br>|<may> add-br <br>|add-br <br> <br> 5|add-br <br> <br> x|add-br <br> <br>|" +
    "<if> del-br <br>|br-set-external-id <br> <key> <val>|br-set-external-id <br> <key>",
  ports:
    "<may> add-port <br> <port>|<may> add-port <br> <port>|add-port <br> <port> <set-port>|" +
    "<if> del-port <br> <port>|<if> del-port <port>|--with-iface del-port <port>|" +
    "<may> add-bond <br> b0 e1 e2|--fake-iface add-bond <br> b0 e1 e3|add-bond <br> b1 e1|" +
    "add-bond-iface b0 e4|<if> del-bond-iface b0 e1",
  ask:
    "list-br|show|list-ports <br>|list-ifaces <br>|br-to-vlan <br>|br-to-parent <br>|" +
    "br-exists <br>|port-to-br <port>|iface-to-br <port>|br-get-external-id <br> <key>",
  remote:
    "get-controller <br>|del-controller <br>|set-controller <br> <target>|" +
    "--inactivity-probe=5 set-controller <br> <target>|get-fail-mode <br>|del-fail-mode <br>|" +
    "set-fail-mode <br> <mode>|get-manager|del-manager|set-manager ptcp:16641|" +
    "--inactivity-probe=30000 set-manager tcp:1.1.1.1:6640 ssl:2.2.2.2:6640|get-ssl|del-ssl",
  rare:
    "get-aa-mapping <br>|add-aa-mapping <br> 1 5|add-aa-mapping <br> x 5|del-aa-mapping <br> 1 5|" +
    "auto-attach|<may> add-zone-tp netdev zone=1 icmp_first=1|add-zone-tp system zone=x foo=1|" +
    "<if> del-zone-tp netdev zone=1|list-zone-tp system|add-dp netdev|list-dp-cap system|" +
    "emer-reset|init|foo|list|add-port br0|set bridge|find|--foo show|show x|--if-exists list-br",
};

/** Commands about rows; T, R, C and S are a table, its row, a column, an assignment. */
const ROW_COMMANDS: readonly string[] = [
  "<if> set T R S",
  "set T R S",
  "set T R S S",
  "<if> get T R C",
  "get T R C:<key>",
  "get T R",
  "--columns=C,C list T",
  "list T R",
  "<if> list T R",
  "find T C<rel><val>",
  "--columns=C find T C:<key><rel><val>",
  "find T C<rel><val> C<rel><val>",
  "add T R C <val>",
  "add T R C <val> <val>",
  "<if> remove T R C <val>",
  "remove T R C",
  "clear T R C",
  "create T S",
  "--id=@x create T S",
  "--id=@x get T R",
  "<if> destroy T R",
  "--all destroy T",
];

/** Seven sessions out of eight end with these questions. */
const QUESTIONS: readonly string[] = [
  "show",
  "list bridge",
  "list port",
  "--columns=name,type,options,external_ids,ofport,error,admin_state,mtu list interface",
  "list Open_vSwitch",
  "list mirror",
  "list qos",
];

class Grammar {
  private readonly rng: Rng;

  constructor(seed: number) {
    this.rng = new SeededRng(seed);
  }

  pick<T>(list: readonly T[]): T {
    return list[randomRange(this.rng, list.length)] as T;
  }

  private assignment(table: string): string {
    const key = this.pick(["", "", ":<key>"]);
    return `${this.pick((COLUMNS[table] ?? "").split(" "))}${key}<op><val>`;
  }

  private row(): string {
    const table = this.pick(Object.keys(COLUMNS));
    const columns = (COLUMNS[table] ?? "").split(" ");
    // Without the row that all hangs from, the real tool fails an assertion.
    const fit = ROW_COMMANDS.filter((c) => table !== "Open_vSwitch" || !c.includes("destroy"));
    return this.pick(fit)
      .replace(/\bT\b/g, table)
      .replace(/\bR\b/g, RECORDS[table] ?? "foo")
      .replace(/\bC\b/g, () => this.pick(columns))
      .replace(/\bS\b/g, () => this.assignment(table));
  }

  expand(text: string): string {
    return text.replace(/<([a-z-]+)>/g, (all, name: string) => {
      const rule =
        name === "row"
          ? this.row()
          : name === "set-port"
            ? this.assignment("port")
            : this.pick((GRAMMAR[name] ?? all).split("|"));
      return rule === all ? all : this.expand(rule);
    });
  }

  line(): string[] {
    const chain = Array.from({ length: this.pick([1, 1, 1, 2, 3]) }, () =>
      this.expand("<command>"),
    );
    const globals = this.expand("<globals>");
    return ["ovs-vsctl", ...words(`${globals} -- ${chain.join(" -- ")}`)];
  }
}

function words(text: string): string[] {
  return text
    .split(" ")
    .filter((w) => w !== "")
    .map((w) => (w === "~" ? "" : w.replaceAll("·", " ")));
}

const LINES_MAX = 14;

export const vsctlSession: fc.Arbitrary<VsctlSession> = fc.integer({ min: 1 }).map((seed) => {
  const g = new Grammar(seed);
  const lines = Array.from({ length: 1 + (seed % LINES_MAX) }, () => g.line());
  return { lines: [...lines, ["ovs-vsctl", ...words(g.pick(QUESTIONS))]] };
});
