# A tunnel whose remote end, key, port and type change under traffic.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-br br-phy -- set bridge br-phy other_config:datapath-id=0000000000000011 other_config:hwaddr=aa:66:aa:66:00:01
ovs-vsctl add-port br-phy u1 -- set interface u1 type=dummy ofport_request=1 options:tx_pcap=$D/u1-tx.pcap
ovs-appctl netdev-dummy/ip4addr br-phy 172.31.1.1/24 > /dev/null
ovs-appctl ovs/route/add 172.31.1.0/24 br-phy > /dev/null
ovs-appctl tnl/neigh/set br-phy 172.31.1.2 aa:bb:cc:00:00:02 > /dev/null
ovs-appctl tnl/neigh/set br-phy 172.31.1.3 aa:bb:cc:00:00:03 > /dev/null
ovs-vsctl add-port br0 v1 -- set interface v1 type=vxlan options:remote_ip=172.31.1.2 options:key=1 ofport_request=11
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a000009000100020008ebd1
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set interface v1 options:remote_ip=172.31.1.3
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a000009000200020008ebd0
ovs-appctl revalidator/wait
ovs-vsctl set interface v1 options:key=77 options:dst_port=8472
ovs-appctl revalidator/wait
echo '$ ovs-appctl tnl/ports/show -v'
ovs-appctl tnl/ports/show -v | sort
echo '$ ovs-appctl dpif/show'
ovs-appctl dpif/show
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a000009000300020008ebcf
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set interface v1 type=geneve
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpif/show'
ovs-appctl dpif/show
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a000009000400020008ebce
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set interface v1 options:remote_ip=bogus
ovs-appctl revalidator/wait
echo '$ ovs-vsctl get interface v1 ofport error'
ovs-vsctl get interface v1 ofport error
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a000009000500020008ebcd
ovs-appctl revalidator/wait
ovs-vsctl set interface v1 options:remote_ip=172.31.1.2
ovs-appctl revalidator/wait
echo '$ ovs-vsctl get interface v1 ofport error'
ovs-vsctl get interface v1 ofport error
echo '$ ovs-appctl ofproto/list-tunnels'
ovs-appctl ofproto/list-tunnels | sort
echo '$ ovs-pcap u1-tx.pcap'
ovs-pcap $D/u1-tx.pcap
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl tnl/neigh/flush'
ovs-appctl tnl/neigh/flush
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ovs/route/del 172.31.1.0/24'
ovs-appctl ovs/route/del 172.31.1.0/24
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ofproto/trace br0 in_port=1,ip'
ovs-appctl ofproto/trace br0 in_port=1,ip
