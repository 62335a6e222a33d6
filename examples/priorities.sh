# The highest priority wins; the megaflow shows how little of the packet had to be looked at.
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3
ovs-ofctl add-flow br0 "priority=100,ip,nw_dst=10.0.0.1,actions=output:2"
ovs-ofctl add-flow br0 "priority=50,ip,nw_dst=10.0.0.0/8,actions=output:3"
ovs-ofctl add-flow br0 "priority=10,tcp,tp_dst=80,actions=output:3"
ovs-ofctl add-flow br0 "priority=0,actions=drop"
ovs-ofctl --no-stats dump-flows br0
ovs-appctl ofproto/trace br0 in_port=1,ip,nw_dst=10.0.0.1
ovs-appctl ofproto/trace br0 in_port=1,ip,nw_dst=10.9.9.9
ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_dst=192.168.0.1,tp_dst=80
ovs-appctl ofproto/trace br0 in_port=1,arp
