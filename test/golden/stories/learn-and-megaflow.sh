# A flow that learning makes counts for the next packet of the megaflow that learned it.
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4
ovs-ofctl add-flow br0 "table=0,udp actions=clone(learn(table=5,idle_timeout=10,NXM_OF_IN_PORT[],output:NXM_OF_IN_PORT[]),output:5),resubmit(,5)"
U="eth(src=50:54:00:00:00:04,dst=50:54:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)"
V="eth(src=50:54:00:00:00:04,dst=50:54:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=53)"
ovs-appctl netdev-dummy/receive p4 "$U"
ovs-appctl revalidator/wait
ovs-ofctl add-flow br0 "table=5,ip,in_port=3 actions=output:1,output:2"
ovs-appctl netdev-dummy/receive p3 "$U"
ovs-appctl revalidator/wait
ovs-ofctl dump-flows br0 table=5
ovs-appctl dpctl/dump-flows
ovs-appctl netdev-dummy/receive p3 "$V"
ovs-appctl revalidator/wait
ovs-ofctl dump-flows br0 table=5
ovs-appctl dpctl/dump-flows
ovs-appctl ofproto/trace br0 in_port=3,udp
