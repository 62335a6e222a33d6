// A switch in a program: two ports, a table of rules, and the path of a packet as data.
// Run it after `npm run build`, in a project that has the package: `node library.ts`.

import { type JsonNode, Switch } from "tablewalk";

/** Texts of a tree of a trace, each under the one that it follows from. */
function outline(nodes: readonly JsonNode[], depth = 0): string[] {
  return nodes.flatMap((node) => [
    `${"  ".repeat(depth)}${node.text}`,
    ...("nodes" in node ? outline(node.nodes, depth + 1) : []),
  ]);
}

export function main(print: (text: string) => void): void {
  const sw = new Switch();
  sw.run("ovs-vsctl add-br br0 -- add-port br0 p1");
  sw.run("ovs-vsctl add-port br0 p2");
  sw.run("ovs-ofctl del-flows br0");
  sw.addFlows(
    "br0",
    `table=0,priority=10,tcp,tp_dst=80 actions=set_field:192.0.2.1->ip_dst,resubmit(,1)
     table=0,priority=1,arp actions=NORMAL
     table=1,in_port=p1 actions=output:p2`,
  );
  for (const flow of ["in_port=p1,tcp,tp_dst=80", "in_port=p1,tcp,tp_dst=22"]) {
    const { tree } = sw.trace("br0", flow);
    print(`${flow}: ${tree.verdict}`);
    for (const step of tree.steps) {
      print(outline(step.nodes, 1).join("\n"));
      print(`  datapath actions: ${step.datapath_actions.join(",") || "drop"}`);
    }
  }
}

main(console.log);
