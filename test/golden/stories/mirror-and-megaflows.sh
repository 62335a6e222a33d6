# A mirror that is taken away goes on in the megaflows that are there.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 options:tx_pcap=$D/p4-tx.pcap
ovs-vsctl -- --id=@p1 get port p1 -- --id=@p2 get port p2 -- --id=@p4 get port p4 -- --id=@m create mirror name=m1 select-src-port=@p1 select-dst-port=@p2 output-port=@p4 -- set bridge br0 mirrors=@m > /dev/null
ovs-vsctl set port p3 tag=5
ovs-appctl netdev-dummy/receive p1 ffffffffffff505400000001080600010800060400015054000000010a0000010000000000000a000002
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p2 505400000001505400000002080600010800060400025054000000020a0000025054000000010a000001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001c00000000400166df0a0000010a0000020800f7fd00010001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 50540000000150540000000408004500001c00000000401174cc0101010102020202000100010008f9d6
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p3 ffffffffffff505400000003080600010800060400015054000000030a0000030000000000000a000001
ovs-appctl revalidator/wait
echo '$ ovs-pcap p1-tx.pcap'
ovs-pcap $D/p1-tx.pcap
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
ovs-pcap $D/p3-tx.pcap
echo '$ ovs-pcap p4-tx.pcap'
ovs-pcap $D/p4-tx.pcap
echo '$ ovs-appctl fdb/show br0'
ovs-appctl fdb/show br0
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-vsctl get mirror m1 statistics'
ovs-vsctl get mirror m1 statistics
ovs-vsctl clear bridge br0 mirrors
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ofproto/trace br0 in_port=1,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02'
ovs-appctl ofproto/trace br0 in_port=1,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02
