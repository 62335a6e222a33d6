# Multicast snooping switched on and off under traffic.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 options:tx_pcap=$D/p4-tx.pcap
ovs-appctl netdev-dummy/receive p1 01005e010203505400000001080046c0002000000000010229130a000001ef01020394040000160af8f0ef010203
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300010006000a9c5c6869
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set bridge br0 mcast_snooping_enable=true
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300020006000a9c5b6869
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 01005e010203505400000001080046c0002000000000010229130a000001ef01020394040000160af8f0ef010203
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300030006000a9c5a6869
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl mdb/show br0'
ovs-appctl mdb/show br0
ovs-vsctl set port p3 other_config:mcast-snooping-flood=true
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300040006000a9c596869
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set port p2 other_config:mcast-snooping-flood-reports=true
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 01005e050505505400000001080046c00020000000000102260d0a000001ef05050594040000160af5eaef050505
ovs-appctl revalidator/wait
ovs-vsctl set bridge br0 other_config:mcast-snooping-table-size=1
ovs-appctl revalidator/wait
echo '$ ovs-appctl mdb/show br0'
ovs-appctl mdb/show br0
echo '$ ovs-appctl mdb/flush br0'
ovs-appctl mdb/flush br0
echo '$ ovs-appctl mdb/show br0'
ovs-appctl mdb/show br0
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300050006000a9c586869
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
ovs-vsctl set bridge br0 other_config:mcast-snooping-disable-flood-unregistered=true
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300060006000a9c576869
ovs-appctl revalidator/wait
ovs-vsctl set bridge br0 mcast_snooping_enable=false
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p4 01005e01020350540000000908004500001e0000000040117fc20a000009ef01020300070006000a9c566869
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
