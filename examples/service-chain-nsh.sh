# A service chain with NSH: the classifier wraps packets, a service sees them, the chain's end unwraps.
#
#   client ── br-cls ── forwarder br-sff ── sf (a service function)
#                            └── server
#
# Path 42 begins with index 255. The service hands packets back with index 254, and they leave the chain.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br-cls -- set bridge br-cls fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-br br-sff -- set bridge br-sff fail_mode=secure other_config:hwaddr=02:00:00:00:00:02
ovs-vsctl add-port br-cls client -- set interface client type=dummy ofport_request=1
ovs-vsctl add-port br-cls to-sff -- set interface to-sff type=patch options:peer=to-cls ofport_request=2
ovs-vsctl add-port br-sff to-cls -- set interface to-cls type=patch options:peer=to-sff ofport_request=2
ovs-vsctl add-port br-sff sf -- set interface sf type=dummy ofport_request=3 options:tx_pcap=$D/sf.pcap
ovs-vsctl add-port br-sff server -- set interface server type=dummy ofport_request=4 options:tx_pcap=$D/server.pcap
ovs-ofctl -O OpenFlow13 add-flow br-cls "in_port=1,tcp,tcp_dst=80,actions=encap(nsh(md_type=1)),set_field:42->nsh_spi,set_field:255->nsh_si,set_field:0x77->nsh_c1,encap(ethernet),set_field:02:00:00:00:00:0f->eth_dst,output:2"
ovs-ofctl -O OpenFlow13 add-flows br-sff - <<FLOWS
in_port=2,dl_type=0x894f,nsh_spi=42,nsh_si=255 actions=set_field:02:00:00:00:00:03->eth_dst,output:3
in_port=3,dl_type=0x894f,nsh_spi=42,nsh_si=254 actions=decap(),decap(),output:4
FLOWS

echo "== a web packet of the client reaches the service, wrapped in Ethernet and NSH"
ovs-appctl netdev-dummy/receive client 0200000000040200000000110800450000280000000040065f1e0a0000010a0007b29c400050000000010000000050022000d79e0000
ovs-pcap $D/sf.pcap
echo "== how it was wrapped"
ovs-appctl ofproto/trace br-cls in_port=1,tcp,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:00:04,nw_src=10.0.0.1,nw_dst=10.0.7.178,tcp_dst=80

echo "== the service hands it back with the next index; the server gets the packet as it was"
ovs-appctl netdev-dummy/receive sf 02000000000f020000000003894f0fc6010300002afe000000770000000000000000000000000200000000040200000000110800450000280000000040065f1e0a0000010a0007b29c400050000000010000000050022000d79e0000
ovs-pcap $D/server.pcap
ovs-appctl dpctl/dump-flows | sort
