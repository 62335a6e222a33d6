# A load balancer that remembers: the first packet of a client picks a server, `learn` makes it stay.
#
# Table 1 holds what was learned, a flow for each client. Table 2 has a group that hashes the client's
# address to pick one of two servers; table 3 learns the choice. A learned flow ends after 30 idle seconds.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 clients -- set interface clients type=dummy ofport_request=1
ovs-vsctl add-port br0 s1 -- set interface s1 type=dummy ofport_request=11 options:tx_pcap=$D/s1.pcap
ovs-vsctl add-port br0 s2 -- set interface s2 type=dummy ofport_request=12 options:tx_pcap=$D/s2.pcap
LEARN="learn(table=1,idle_timeout=30,eth_type=0x800,NXM_OF_IP_SRC[],load:NXM_OF_ETH_DST[]->NXM_OF_ETH_DST[],output:NXM_NX_REG0[0..15])"
ovs-ofctl -O OpenFlow15 add-group br0 "group_id=1,type=select,selection_method=hash,fields(ip_src),bucket=bucket_id:1,actions=set_field:02:00:00:00:00:11->eth_dst,set_field:11->reg0,resubmit(,3),bucket=bucket_id:2,actions=set_field:02:00:00:00:00:12->eth_dst,set_field:12->reg0,resubmit(,3)"
ovs-ofctl -O OpenFlow15 add-flows br0 - <<FLOWS
table=0,ip,in_port=1,nw_dst=10.0.0.100 actions=goto_table:1
table=1,priority=0                     actions=goto_table:2
table=2,ip                             actions=group:1
table=3,ip                             actions=$LEARN,output:NXM_NX_REG0[]
FLOWS

echo "== four clients: each makes a flow in table 1"
FRAME="eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:99),eth_type(0x0800)"
ovs-appctl netdev-dummy/receive clients "$FRAME,ipv4(src=10.1.0.1,dst=10.0.0.100,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=80)"
ovs-appctl netdev-dummy/receive clients "$FRAME,ipv4(src=10.1.0.12,dst=10.0.0.100,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=80)"
ovs-appctl netdev-dummy/receive clients "$FRAME,ipv4(src=10.1.0.3,dst=10.0.0.100,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=80)"
ovs-appctl netdev-dummy/receive clients "$FRAME,ipv4(src=10.1.0.14,dst=10.0.0.100,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=80)"
ovs-appctl revalidator/wait
ovs-ofctl --no-stats dump-flows br0 table=1 | sort
echo "s1 received:"
ovs-pcap $D/s1.pcap | wc -l
echo "s2 received:"
ovs-pcap $D/s2.pcap | wc -l

echo "== a second packet of 10.1.0.1 does not ask the group any more"
ovs-appctl ofproto/trace br0 in_port=1,udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:99,nw_src=10.1.0.1,nw_dst=10.0.0.100,nw_ttl=64,udp_src=1001,udp_dst=80
ovs-ofctl -O OpenFlow15 dump-group-stats br0 | sed 's/duration=[0-9.]*s/duration=*s/'

echo "== after 31 silent seconds the switch has forgotten them"
ovs-appctl time/warp 31000
ovs-appctl revalidator/wait
ovs-ofctl --no-stats dump-flows br0 table=1
