# A router made of flows joins two subnets, and packets go through it.
#
#   h1 10.0.1.10 ── p1 ─┐ router 10.0.1.1  02:00:00:00:01:01
#   h2 10.0.2.10 ── p2 ─┘        10.0.2.1  02:00:00:00:02:01
#
# Table 0 sorts, table 1 answers ARP, table 2 answers pings to the router itself, table 3 routes: TTL
# down by one, and the source address of the subnet; table 4 knows the addresses of the hosts.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2.pcap

# An ARP question becomes its answer: it goes back, with sender and target exchanged by way of reg0.
ANSWER="move:eth_src->eth_dst,set_field:2->arp_op,move:arp_sha->arp_tha,move:arp_tpa->reg0,move:arp_spa->arp_tpa,move:reg0->arp_spa"
# A ping is turned round: both pairs of addresses are exchanged, by way of the stack.
TURN="push:eth_src,push:eth_dst,pop:eth_src,pop:eth_dst,push:ip_src,push:ip_dst,pop:ip_src,pop:ip_dst"
ovs-ofctl -O OpenFlow13 add-flows br0 - <<FLOWS
table=0,priority=20,arp,arp_op=1                     actions=goto_table:1
table=0,priority=30,icmp,icmp_type=8,nw_dst=10.0.1.1 actions=goto_table:2
table=0,priority=30,icmp,icmp_type=8,nw_dst=10.0.2.1 actions=goto_table:2
table=0,priority=10,ip                               actions=goto_table:3
table=1,in_port=p1,arp,arp_tpa=10.0.1.1              actions=$ANSWER,set_field:02:00:00:00:01:01->eth_src,set_field:02:00:00:00:01:01->arp_sha,in_port
table=1,in_port=p2,arp,arp_tpa=10.0.2.1              actions=$ANSWER,set_field:02:00:00:00:02:01->eth_src,set_field:02:00:00:00:02:01->arp_sha,in_port
table=2,icmp                                         actions=$TURN,set_field:0->icmp_type,set_field:64->nw_ttl,in_port
# A packet whose time is over goes to the controller, which would send the ICMP error.
table=3,priority=40,ip,nw_ttl=0                      actions=drop
table=3,priority=40,ip,nw_ttl=1                      actions=controller(reason=invalid_ttl)
table=3,priority=24,ip,nw_dst=10.0.1.0/24            actions=dec_ttl,set_field:02:00:00:00:01:01->eth_src,goto_table:4
table=3,priority=24,ip,nw_dst=10.0.2.0/24            actions=dec_ttl,set_field:02:00:00:00:02:01->eth_src,goto_table:4
table=4,ip,nw_dst=10.0.1.10                          actions=set_field:02:00:00:00:01:10->eth_dst,output:p1
table=4,ip,nw_dst=10.0.2.10                          actions=set_field:02:00:00:00:02:10->eth_dst,output:p2
FLOWS

echo "== h1 asks for its gateway and gets an answer"
ovs-appctl netdev-dummy/receive p1 "eth(src=02:00:00:00:01:10,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.0.1.10,tip=10.0.1.1,op=1,sha=02:00:00:00:01:10,tha=00:00:00:00:00:00)"
ovs-pcap $D/p1.pcap | tail -1

echo "== h1 pings its gateway; type 8 comes back as type 0"
ovs-appctl netdev-dummy/receive p1 "eth(src=02:00:00:00:01:10,dst=02:00:00:00:01:01),eth_type(0x0800),ipv4(src=10.0.1.10,dst=10.0.1.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)"
ovs-pcap $D/p1.pcap | tail -1

echo "== h1 sends to h2: new MAC addresses, TTL 63, the IP checksum kept right"
TO_H2="eth(src=02:00:00:00:01:10,dst=02:00:00:00:01:01),eth_type(0x0800),ipv4(src=10.0.1.10,dst=10.0.2.10,proto=17,tos=0,ttl=64,frag=no),udp(src=4000,dst=7)"
ovs-appctl netdev-dummy/receive p1 "$TO_H2"
ovs-appctl netdev-dummy/receive p1 "$TO_H2"
ovs-pcap $D/p2.pcap

echo "== and back"
ovs-appctl netdev-dummy/receive p2 "eth(src=02:00:00:00:02:10,dst=02:00:00:00:02:01),eth_type(0x0800),ipv4(src=10.0.2.10,dst=10.0.1.10,proto=17,tos=0,ttl=64,frag=no),udp(src=7,dst=4000)"
ovs-pcap $D/p1.pcap | tail -1

echo "== a packet with one hop left does not come through"
ovs-appctl netdev-dummy/receive p1 "eth(src=02:00:00:00:01:10,dst=02:00:00:00:01:01),eth_type(0x0800),ipv4(src=10.0.1.10,dst=10.0.2.10,proto=17,tos=0,ttl=1,frag=no),udp(src=4000,dst=33434)"
ovs-pcap $D/p2.pcap | wc -l

echo "== how it was decided: the ARP answer as a trace"
ovs-appctl ofproto/trace br0 in_port=p1,arp,arp_op=1,dl_src=02:00:00:00:01:10,dl_dst=ff:ff:ff:ff:ff:ff,arp_sha=02:00:00:00:01:10,arp_spa=10.0.1.10,arp_tpa=10.0.1.1

echo "== which flows were used, and the megaflows made of them"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow13 dump-flows br0 | sed 's/duration=[0-9.]*s/duration=*s/'
ovs-appctl dpctl/dump-flows | sort
