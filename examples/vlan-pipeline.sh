# Five tables make a VLAN switch out of flows: admission, VLAN input, learning, lookup, output.
# After the story of Open vSwitch's own tutorial, with rules of our own.
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4
ovs-ofctl add-flow br0 "table=0,dl_src=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop"
ovs-ofctl add-flow br0 "table=0,dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0,actions=drop"
ovs-ofctl add-flow br0 "table=0,priority=0,actions=resubmit(,1)"
ovs-ofctl add-flow br0 "table=1,priority=99,in_port=1,actions=resubmit(,2)"
ovs-ofctl add-flow br0 "table=1,priority=99,in_port=2,vlan_tci=0,actions=mod_vlan_vid:20,resubmit(,2)"
ovs-ofctl add-flow br0 "table=1,priority=99,in_port=3,vlan_tci=0,actions=mod_vlan_vid:30,resubmit(,2)"
ovs-ofctl add-flow br0 "table=1,priority=99,in_port=4,vlan_tci=0,actions=mod_vlan_vid:30,resubmit(,2)"
ovs-ofctl add-flow br0 "table=2,actions=learn(table=10,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]),resubmit(,3)"
ovs-ofctl add-flow br0 "table=3,priority=50,actions=resubmit(,10),resubmit(,4)"
ovs-ofctl add-flow br0 "table=4,reg0=1,actions=1"
ovs-ofctl add-flow br0 "table=4,reg0=3,actions=strip_vlan,3"
ovs-ofctl add-flow br0 "table=4,reg0=4,actions=strip_vlan,4"
ovs-ofctl add-flow br0 "table=4,reg0=0,priority=99,dl_vlan=30,actions=1,strip_vlan,3,4"
ovs-ofctl add-flow br0 "table=4,reg0=0,priority=99,dl_vlan=20,actions=1,strip_vlan,2"
ovs-appctl ofproto/trace br0 in_port=3,dl_src=02:00:00:00:00:33,dl_dst=02:00:00:00:00:44
ovs-appctl ofproto/trace br0 in_port=4,dl_src=02:00:00:00:00:44,dl_dst=01:80:c2:00:00:05
