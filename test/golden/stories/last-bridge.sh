# The datapath goes with its last bridge.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
ip actions=ct(commit),normal
FLOWS
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001c00000000401166cf0a0000010a000002000100020008ebd8
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-conntrack'
ovs-appctl dpctl/dump-conntrack | sort
echo '$ ovs-appctl dpctl/show'
ovs-appctl dpctl/show
ovs-vsctl del-br br0
ovs-appctl dpctl/show
ovs-appctl dpctl/dump-dps
echo '$ ovs-appctl dpctl/dump-conntrack'
ovs-appctl dpctl/dump-conntrack | sort
ovs-appctl dpif/show
echo '$ ovs-appctl fdb/show br0'
ovs-appctl fdb/show br0
ovs-vsctl add-br br1 -- set bridge br1 other_config:hwaddr=aa:66:aa:66:00:09
ovs-vsctl add-port br1 q1 -- set interface q1 type=dummy
echo '$ ovs-appctl dpctl/show'
ovs-appctl dpctl/show
ovs-appctl dpctl/dump-conntrack | sort
echo '$ ovs-appctl dpif/show'
ovs-appctl dpif/show
