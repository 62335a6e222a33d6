# Queues that mark packets.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl set port p2 qos=@q -- --id=@q create qos type=linux-htb queues:1=@a queues:2=@b -- --id=@a create queue other-config:max-rate=1000 -- --id=@b create queue dscp=10 > /dev/null
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
in_port=1,udp actions=set_queue:1,2,pop_queue,3
in_port=1,tcp actions=enqueue:2:2,set_queue:77,3
in_port=3,ip actions=write_actions(set_queue:1,output:2)
FLOWS
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001c00000000401166cf0a0000010a000002000100020008ebd8
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500002800000000400666ce0a0000010a000002000100020000000100000000500220007bdc0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p3 50540000000250540000000108004500001c00000000401166cf0a0000010a000002000100020008ebd8
ovs-appctl revalidator/wait
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
echo '$ ovs-pcap p3-tx.pcap'
ovs-pcap $D/p3-tx.pcap
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-ofctl queue-stats br0'
ovs-ofctl queue-stats br0
echo '$ ovs-ofctl -O OpenFlow13 queue-get-config br0 2'
ovs-ofctl -O OpenFlow13 queue-get-config br0 2
echo '$ ovs-ofctl queue-get-config br0 2'
ovs-ofctl queue-get-config br0 2
echo '$ ovs-ofctl -O OpenFlow14 queue-get-config br0'
ovs-ofctl -O OpenFlow14 queue-get-config br0
echo '$ ovs-appctl qos/show p2'
ovs-appctl qos/show p2
echo '$ ovs-appctl ofproto/trace br0 in_port=1,tcp'
ovs-appctl ofproto/trace br0 in_port=1,tcp
echo '$ ovs-ofctl dump-flows br0'
ovs-ofctl dump-flows br0
