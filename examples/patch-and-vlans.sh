# Two bridges, one patch pair, and VLANs that stay apart.
#
#   a10 (VLAN 10) ─┐                                    ┌─ b10 (VLAN 10)
#   a20 (VLAN 20) ─┴─ br-a ── to-b ═══ to-a ── br-b ──┴─ b20 (VLAN 20)
#
# Each host sees its own VLAN only, across both bridges. The patch pair is no device: what goes into
# it goes on in the next bridge at once, so one megaflow covers the whole way.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br-a -- set bridge br-a other_config:hwaddr=02:00:00:00:00:0a
ovs-vsctl add-br br-b -- set bridge br-b other_config:hwaddr=02:00:00:00:00:0b
ovs-vsctl add-port br-a a10 tag=10 -- set interface a10 type=dummy options:tx_pcap=$D/a10.pcap
ovs-vsctl add-port br-a a20 tag=20 -- set interface a20 type=dummy options:tx_pcap=$D/a20.pcap
ovs-vsctl add-port br-b b10 tag=10 -- set interface b10 type=dummy options:tx_pcap=$D/b10.pcap
ovs-vsctl add-port br-b b20 tag=20 -- set interface b20 type=dummy options:tx_pcap=$D/b20.pcap
ovs-vsctl add-port br-a to-b -- set interface to-b type=patch options:peer=to-a
ovs-vsctl add-port br-b to-a -- set interface to-a type=patch options:peer=to-b
ovs-vsctl set port to-b trunks=10,20 -- set port to-a trunks=10,20

echo "== a10 asks for b10; the question is flooded in VLAN 10 of both bridges"
ovs-appctl netdev-dummy/receive a10 "eth(src=02:00:00:00:0a:10,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.1.0.1,tip=10.1.0.2,op=1,sha=02:00:00:00:0a:10,tha=00:00:00:00:00:00)"
echo "== b10 answers; both bridges know the way back by now"
ovs-appctl netdev-dummy/receive b10 "eth(src=02:00:00:00:0b:10,dst=02:00:00:00:0a:10),eth_type(0x0806),arp(sip=10.1.0.2,tip=10.1.0.1,op=2,sha=02:00:00:00:0b:10,tha=02:00:00:00:0a:10)"
ovs-appctl revalidator/wait
ovs-appctl fdb/show br-a
ovs-appctl fdb/show br-b

echo "== what came out: the answer at a10, the question at b10, nothing in VLAN 20"
ovs-pcap $D/a10.pcap
ovs-pcap $D/b10.pcap
ovs-pcap $D/a20.pcap
ovs-pcap $D/b20.pcap

echo "== a20 knows the address of b10, and still cannot reach it: flooded in VLAN 20 only"
ovs-appctl ofproto/trace br-a in_port=a20,dl_src=02:00:00:00:0a:20,dl_dst=02:00:00:00:0b:10

echo "== the megaflows: from port to port, no patch port among them"
ovs-appctl dpctl/dump-flows | sort

echo "== VLAN 20 is taken off the trunk: from now on it ends at br-a"
ovs-vsctl remove port to-b trunks 20
ovs-appctl ofproto/trace br-a in_port=a20,dl_src=02:00:00:00:0a:20,dl_dst=ff:ff:ff:ff:ff:ff
