# Two tunnels may not be alike, and VXLAN tunnels of one port have to agree about GBP.
ovs-appctl time/stop
ovs-vsctl add-br br0
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-appctl dpif/set-dp-features br0 tnl_push_pop false > /dev/null
ovs-vsctl add-port br0 t11 -- set interface t11 type=vxlan options:remote_ip=172.31.1.9 ofport_request=11
ovs-vsctl add-port br0 t12 -- set interface t12 type=vxlan options:remote_ip=172.31.1.9 options:in_key=6 options:out_key=7 ofport_request=12
ovs-vsctl set interface t11 options:in_key=6
ovs-appctl ofproto/trace br0 in_port=1,ip
ovs-appctl ofproto/trace br0 in_port=11,ip
ovs-vsctl get interface t11 ofport error
ovs-appctl dpif/show
ovs-vsctl set interface t11 options:in_key=9
ovs-appctl ofproto/trace br0 in_port=1,ip
echo '== a tunnel with GBP ends when the next change finds the datapath device of its port'
ovs-vsctl add-br br1
ovs-vsctl add-port br1 g1 -- set interface g1 type=vxlan options:remote_ip=172.31.1.9 options:exts=gbp options:dst_port=4790
ovs-vsctl add-port br1 g2 -- set interface g2 type=gre options:remote_ip=172.31.1.9
ovs-appctl dpif/show
ovs-vsctl del-port br0 t11 -- del-port br0 t12
ovs-vsctl set interface g1 options:dst_port=4789
ovs-vsctl set interface g2 options:key=5
ovs-appctl dpif/show
