# Flags of ports under traffic.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 options:tx_pcap=$D/p4-tx.pcap
ovs-appctl netdev-dummy/receive p1 ffffffffffff505400000001080600010800060400015054000000010a0000010000000000000a000002
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p2 505400000001505400000002080600010800060400025054000000020a0000025054000000010a000001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001c00000000400166df0a0000010a0000020800f7fd00010001
ovs-appctl revalidator/wait
ovs-ofctl mod-port br0 p3 no-flood
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 ffffffffffff505400000001080600010800060400015054000000010a0000010000000000000a000009
ovs-appctl revalidator/wait
ovs-ofctl mod-port br0 p4 no-forward
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 ffffffffffff505400000001080600010800060400015054000000010a0000010000000000000a000009
ovs-appctl revalidator/wait
ovs-ofctl mod-port br0 p1 no-receive
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 ffffffffffff505400000001080600010800060400015054000000010a0000010000000000000a000009
ovs-appctl revalidator/wait
ovs-ofctl mod-port br0 p1 receive
ovs-appctl revalidator/wait
ovs-ofctl mod-port br0 p2 down
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001c00000000400166df0a0000010a0000020800f7fd00010001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 50540000000150540000000408004500001c00000000400166dd0a0000040a0000010800f7fd00010001
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-pcap p1-tx.pcap'
ovs-pcap $D/p1-tx.pcap
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
echo '$ ovs-pcap p3-tx.pcap'
ovs-pcap $D/p3-tx.pcap
echo '$ ovs-pcap p4-tx.pcap'
ovs-pcap $D/p4-tx.pcap
echo '$ ovs-appctl fdb/show br0'
ovs-appctl fdb/show br0
echo '$ ovs-appctl ofproto/trace br0 in_port=1'
ovs-appctl ofproto/trace br0 in_port=1
