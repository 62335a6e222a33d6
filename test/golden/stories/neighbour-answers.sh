# A router of flows for IPv6 that answers neighbour solicitations.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
table=0,priority=100,icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:02:00:00:00:00:fe->eth_src,move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[],set_field:fe80::1->ipv6_src,set_field:136->icmpv6_type,set_field:2->nd_options_type,set_field:0x60000000->nd_reserved,in_port

table=0,priority=50,ipv6,ipv6_dst=2001:db8:2::/64,nw_ttl=1 actions=controller(reason=invalid_ttl)
table=0,priority=40,ipv6,ipv6_dst=2001:db8:2::/64 actions=dec_ttl,set_field:02:00:00:00:02:fe->eth_src,set_field:50:54:00:00:00:02->eth_dst,output:2
table=0,priority=40,ipv6,ipv6_dst=2001:db8:1::/64,ipv6_label=0x12345 actions=set_field:0x54321->ipv6_label,dec_ttl,output:1
table=0,priority=30,ipv6,ipv6_dst=2001:db8:1::/64 actions=move:NXM_NX_IPV6_DST[0..31]->NXM_NX_REG3[],dec_ttl,output:1
FLOWS
ovs-appctl netdev-dummy/receive p1 3333ff00000150540000000186dd6000000000203afffe800000000000000000000000000010ff0200000000000000000001ff00000187002c3600000000fe8000000000000000000000000000010101505400000001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000186dd60000000000a114020010db800010000000000000000000120010db800020000000000000000000200010002000a3bf66869
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000186dd60000000000a110120010db800010000000000000000000120010db800020000000000000000000200010002000a3bf66869
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p2 50540000000950540000000286dd60012345000a110920010db800020000000000000000000220010db800010000000000000000000100020001000a2af0796f
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p2 50540000000950540000000286dd60000000000a110920010db800020000000000000000000220010db800010000000000000000000100020001000a2af0796f
ovs-appctl revalidator/wait
echo '$ ovs-pcap p1-tx.pcap'
ovs-pcap $D/p1-tx.pcap
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ofproto/trace br0 in_port=1,icmp6,icmp_type=135,icmp_code=0,nd_target=fe80:...'
ovs-appctl ofproto/trace br0 in_port=1,icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1,ipv6_src=fe80::10,nd_sll=50:54:00:00:00:01,dl_src=50:54:00:00:00:01
echo '$ ovs-ofctl dump-flows br0'
ovs-ofctl dump-flows br0
