# A NAT gateway: two clients share one address and a few ports; one service inside is published.
#
#   lan 192.168.1.0/24 ── p1 ── br0 ── p2 ── internet; the gateway is 203.0.113.1
#
# Table 0 tracks what comes from inside, or undoes the translation of what comes from outside; table 1
# sees connection states and decides. Which port of a range a connection gets is random: the script
# shows what does not depend on that.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2.pcap
ovs-ofctl add-flows br0 - <<FLOWS
table=0,priority=10,ip,in_port=1                              actions=ct(table=1,zone=1,nat)
table=0,priority=10,ip,in_port=2,nw_dst=203.0.113.1           actions=ct(table=1,zone=1,nat)
table=1,priority=90,ct_state=+inv+trk                         actions=drop
# TCP from inside shares one port of the gateway; UDP has two.
table=1,priority=50,in_port=1,ct_state=+new+trk,tcp           actions=ct(commit,zone=1,nat(src=203.0.113.1:6000)),2
table=1,priority=50,in_port=1,ct_state=+new+trk,udp           actions=ct(commit,zone=1,nat(src=203.0.113.1:50000-50001)),2
# Port 8080 of the gateway is port 80 of 192.168.1.80.
table=1,priority=50,in_port=2,ct_state=+new+trk,tcp,tp_dst=8080 actions=ct(commit,zone=1,nat(dst=192.168.1.80:80)),1
table=1,priority=40,in_port=1,ct_state=+est+trk               actions=2
table=1,priority=40,in_port=2,ct_state=+est+trk               actions=1
table=1,priority=0                                            actions=drop
FLOWS
FROM_LAN="eth(src=02:00:00:00:01:10,dst=02:00:00:00:00:01),eth_type(0x0800)"
FROM_NET="eth(src=02:00:00:00:ff:01,dst=02:00:00:00:00:01),eth_type(0x0800)"

echo "== a client opens a web page: its address and port become the gateway's"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.10,dst=198.51.100.7,proto=6,tos=0,ttl=64,frag=no),tcp(src=40000,dst=80),tcp_flags(syn)"
ovs-pcap $D/p2.pcap
echo "== the answer to the gateway's port goes to the client"
ovs-appctl netdev-dummy/receive p2 "$FROM_NET,ipv4(src=198.51.100.7,dst=203.0.113.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=80,dst=6000),tcp_flags(syn|ack)"
ovs-pcap $D/p1.pcap
ovs-appctl dpctl/dump-conntrack | sort

echo "== the same port serves another server; a second client to the same server finds none left:"
echo "== no connection is made of its packet, but the flow goes on after ct() and sends it as it was"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.10,dst=198.51.100.8,proto=6,tos=0,ttl=64,frag=no),tcp(src=40000,dst=80),tcp_flags(syn)"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.11,dst=198.51.100.7,proto=6,tos=0,ttl=64,frag=no),tcp(src=40000,dst=80),tcp_flags(syn)"
ovs-appctl dpctl/dump-conntrack | sort
ovs-pcap $D/p2.pcap | tail -1

echo "== three clients ask one name server, with two ports to share"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.10,dst=198.51.100.53,proto=17,tos=0,ttl=64,frag=no),udp(src=5353,dst=53)"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.11,dst=198.51.100.53,proto=17,tos=0,ttl=64,frag=no),udp(src=5353,dst=53)"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.12,dst=198.51.100.53,proto=17,tos=0,ttl=64,frag=no),udp(src=5353,dst=53)"
ovs-appctl dpctl/dump-conntrack | grep -c '^udp'
ovs-appctl dpctl/dump-conntrack | grep -o 'dport=5000[01]' | sort

echo "== somebody outside calls the published service; its answer leaves as the gateway's"
ovs-appctl netdev-dummy/receive p2 "$FROM_NET,ipv4(src=198.51.100.9,dst=203.0.113.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=33000,dst=8080),tcp_flags(syn)"
ovs-appctl netdev-dummy/receive p1 "$FROM_LAN,ipv4(src=192.168.1.80,dst=198.51.100.9,proto=6,tos=0,ttl=64,frag=no),tcp(src=80,dst=33000),tcp_flags(syn|ack)"
ovs-pcap $D/p1.pcap | tail -1
ovs-pcap $D/p2.pcap | tail -1

echo "== megaflows and flows: a translated connection needs two passes"
ovs-appctl revalidator/wait
ovs-appctl dpctl/dump-flows | sort
ovs-ofctl dump-flows br0 table=1 | sed 's/duration=[0-9.]*s/duration=*s/'
