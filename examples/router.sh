# A router of flows between two networks: it answers ARP for itself, counts TTL down, and sends what it
# cannot deliver to a group of two uplinks.
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2
ovs-vsctl add-port br0 u1 -- set interface u1 type=dummy ofport_request=11
ovs-vsctl add-port br0 u2 -- set interface u2 type=dummy ofport_request=12
ovs-ofctl -O OpenFlow13 add-group br0 "group_id=1,type=all,bucket=output:11,bucket=output:12"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=0,priority=100,arp,arp_op=1,arp_tpa=10.0.1.1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:02:00:00:00:01:01->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:02:00:00:00:01:01->arp_sha,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:10.0.1.1->arp_spa,in_port"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=0,priority=50,ip,nw_ttl=0,actions=drop"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=0,priority=50,ip,nw_ttl=1,actions=controller(reason=invalid_ttl)"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=0,priority=10,ip,actions=dec_ttl,goto_table:1"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=1,priority=24,ip,nw_dst=10.0.1.0/24,actions=set_field:02:00:00:00:01:01->eth_src,set_field:02:00:00:00:01:10->eth_dst,output:1"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=1,priority=24,ip,nw_dst=10.0.2.0/24,actions=set_field:02:00:00:00:02:01->eth_src,set_field:02:00:00:00:02:10->eth_dst,output:2"
ovs-ofctl -O OpenFlow13 add-flow br0 "table=1,priority=0,ip,actions=group:1"
ovs-appctl ofproto/trace br0 in_port=1,arp,arp_op=1,dl_src=02:00:00:00:01:10,arp_sha=02:00:00:00:01:10,arp_spa=10.0.1.10,arp_tpa=10.0.1.1
ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_src=10.0.1.10,nw_dst=10.0.2.10,nw_ttl=64
ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_src=10.0.1.10,nw_dst=203.0.113.9,nw_ttl=64
ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_src=10.0.1.10,nw_dst=10.0.2.10,nw_ttl=1
