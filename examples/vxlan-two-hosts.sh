# Two hosts joined by VXLAN, in one process: the bytes that leave one host arrive at the other.
#
#   host 1: red1, blue1 ── int1 ── vx1      host 2: red2, blue2 ── int2 ── vx2
#           int1 tunnels through ex1 (172.16.0.1) ═══ wire ═══ ex2 (172.16.0.2)
#
# Two tenants use the same addresses. `key=flow` leaves the network identifier (VNI) to the flows:
# red is 100, blue is 200; a port may only send from its own address. The underlay is two more
# bridges, each with an address, and a patch pair for a wire.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br ex1 -- set bridge ex1 other_config:hwaddr=02:00:00:00:ee:01
ovs-vsctl add-br ex2 -- set bridge ex2 other_config:hwaddr=02:00:00:00:ee:02
ovs-vsctl add-port ex1 wire1 -- set interface wire1 type=patch options:peer=wire2
ovs-vsctl add-port ex2 wire2 -- set interface wire2 type=patch options:peer=wire1
# A tap on the wire: host 1 hands a copy of all that it sends and receives to port tap.
ovs-vsctl add-port ex1 tap -- set interface tap type=dummy options:tx_pcap=$D/tap.pcap
ovs-ofctl del-flows ex1
ovs-ofctl add-flow ex1 in_port=LOCAL,actions=tap,wire1
ovs-ofctl add-flow ex1 in_port=wire1,actions=tap,LOCAL
ovs-appctl netdev-dummy/ip4addr ex1 172.16.0.1/24 > /dev/null
ovs-appctl netdev-dummy/ip4addr ex2 172.16.0.2/24 > /dev/null
ovs-appctl ovs/route/add 172.16.0.2/32 ex1 > /dev/null
ovs-appctl ovs/route/add 172.16.0.1/32 ex2 > /dev/null

ovs-vsctl add-br int1 -- set bridge int1 fail_mode=secure other_config:hwaddr=02:00:00:00:11:01
ovs-vsctl add-br int2 -- set bridge int2 fail_mode=secure other_config:hwaddr=02:00:00:00:11:02
ovs-vsctl add-port int1 red1 -- set interface red1 type=dummy ofport_request=1 options:tx_pcap=$D/red1.pcap
ovs-vsctl add-port int1 blue1 -- set interface blue1 type=dummy ofport_request=2 options:tx_pcap=$D/blue1.pcap
ovs-vsctl add-port int2 red2 -- set interface red2 type=dummy ofport_request=1 options:tx_pcap=$D/red2.pcap
ovs-vsctl add-port int2 blue2 -- set interface blue2 type=dummy ofport_request=2 options:tx_pcap=$D/blue2.pcap
ovs-vsctl add-port int1 vx1 -- set interface vx1 type=vxlan ofport_request=10 options:remote_ip=172.16.0.2 options:key=flow
ovs-vsctl add-port int2 vx2 -- set interface vx2 type=vxlan ofport_request=10 options:remote_ip=172.16.0.1 options:key=flow
ovs-ofctl add-flows int1 - <<FLOWS
in_port=red1,dl_src=02:00:00:00:00:01  actions=set_tunnel:100,output:vx1
in_port=blue1,dl_src=02:00:00:00:00:01 actions=set_tunnel:200,output:vx1
in_port=vx1,tun_id=100                 actions=output:red1
in_port=vx1,tun_id=200                 actions=output:blue1
FLOWS
ovs-ofctl add-flows int2 - <<FLOWS
in_port=red2,dl_src=02:00:00:00:00:02  actions=set_tunnel:100,output:vx2
in_port=blue2,dl_src=02:00:00:00:00:02 actions=set_tunnel:200,output:vx2
in_port=vx2,tun_id=100                 actions=output:red2
in_port=vx2,tun_id=200                 actions=output:blue2
FLOWS

ARP_REQUEST="eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=02:00:00:00:00:01,tha=00:00:00:00:00:00)"
ARP_REPLY="eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),eth_type(0x0806),arp(sip=10.0.0.2,tip=10.0.0.1,op=2,sha=02:00:00:00:00:02,tha=02:00:00:00:00:01)"
PING="eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)"
PONG="eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=0,code=0)"

echo "== the first packet is lost: host 1 must ask who 172.16.0.2 is before it can send to it"
ovs-appctl netdev-dummy/receive red1 "$ARP_REQUEST"
ovs-appctl revalidator/wait
ovs-pcap $D/red2.pcap
ovs-appctl tnl/neigh/show | sort

echo "== the second gets through; the first answer is lost in the same way on host 2"
ovs-appctl netdev-dummy/receive red1 "$ARP_REQUEST"
ovs-appctl netdev-dummy/receive red2 "$ARP_REPLY"
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive red2 "$ARP_REPLY"
ovs-appctl tnl/neigh/show | sort

echo "== a ping there and back"
ovs-appctl netdev-dummy/receive red1 "$PING"
ovs-appctl netdev-dummy/receive red2 "$PONG"
ovs-appctl revalidator/wait
echo "red2 received:"
ovs-pcap $D/red2.pcap
echo "red1 received:"
ovs-pcap $D/red1.pcap

echo "== blue pings with the same addresses: another VNI, another world"
ovs-appctl netdev-dummy/receive blue1 "$PING"
ovs-appctl revalidator/wait
echo "blue2 received:"
ovs-pcap $D/blue2.pcap

echo "== the same ping as a trace: pushed on host 1, through both underlays, popped on host 2"
ovs-appctl ofproto/trace int1 in_port=red1,icmp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,icmp_type=8

echo "== the megaflows: tnl_push and tnl_pop with real bytes"
ovs-appctl dpctl/dump-flows | sort
ovs-appctl tnl/ports/show -v | sort
ovs-appctl ovs/route/show | sort

echo "== the wire: ARP of the hosts, then VXLAN in UDP with the VNI in front of each inner packet"
ovs-pcap $D/tap.pcap
