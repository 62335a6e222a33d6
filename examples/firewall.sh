# A stateful firewall: p1 may open connections, p2 may only answer. Real packets make the connection.
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2
ovs-ofctl add-flow br0 "table=0,priority=100,ip,ct_state=-trk,actions=ct(table=1)"
ovs-ofctl add-flow br0 "table=0,priority=10,arp,actions=normal"
ovs-ofctl add-flow br0 "table=1,priority=100,in_port=1,ip,ct_state=+trk+new,actions=ct(commit),output:2"
ovs-ofctl add-flow br0 "table=1,priority=100,in_port=1,ip,ct_state=+trk+est,actions=output:2"
ovs-ofctl add-flow br0 "table=1,priority=100,in_port=2,ip,ct_state=+trk+est,actions=output:1"
ovs-ofctl add-flow br0 "table=1,priority=0,actions=drop"
ovs-appctl ofproto/trace br0 in_port=2,tcp,nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_src=80,tp_dst=4000
ovs-appctl netdev-dummy/receive p1 "in_port(1),eth(src=02:00:00:00:00:11,dst=02:00:00:00:00:22),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=4000,dst=53)"
ovs-appctl netdev-dummy/receive p2 "in_port(2),eth(src=02:00:00:00:00:22,dst=02:00:00:00:00:11),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=53,dst=4000)"
ovs-appctl revalidator/wait
ovs-appctl dpctl/dump-conntrack
ovs-appctl ofproto/trace br0 in_port=2,udp,nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_src=53,tp_dst=4000 --ct-next trk,est,rpl
