# Select groups by each method, with buckets inserted and removed.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 options:tx_pcap=$D/p4-tx.pcap
ovs-vsctl add-port br0 p5 -- set interface p5 type=dummy ofport_request=5 options:tx_pcap=$D/p5-tx.pcap
ovs-ofctl -O OpenFlow15 add-groups br0 - > /dev/null <<FLOWS
group_id=9,type=select,bucket=bucket_id:1,weight:1,actions=output:2,bucket=bucket_id:7,weight:6,actions=output:3,bucket=bucket_id:3,weight:0,actions=output:4
group_id=10,type=select,selection_method=dp_hash,bucket=weight:2,actions=output:2,bucket=weight:3,actions=output:3
group_id=11,type=select,selection_method=hash,selection_method_param=7,fields(eth_src,tcp_dst=0xff00),bucket=weight:1,actions=output:2,bucket=weight:1,actions=output:3,bucket=weight:1,actions=output:4
FLOWS
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
in_port=1,tcp actions=group:9
in_port=1,udp actions=group:10
in_port=5,tcp actions=group:11
FLOWS
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500002800000000400666c70a0000010a00000903e90050000000010000000050022000779f0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000108004500001c00000000401166c80a0000010a00000903e900500008e79b
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p5 50540000000950540000000108004500002800000000400666c70a0000010a00000903e8010100000001000000005002200076ef0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000208004500002800000000400666c60a0000020a00000903ea0050000000010000000050022000779d0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000208004500001c00000000401166c70a0000020a00000903ea00500008e799
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p5 50540000000950540000000208004500002800000000400666c70a0000010a00000903e8020200000001000000005002200075ee0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000308004500002800000000400666c50a0000030a00000903eb0050000000010000000050022000779b0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000308004500001c00000000401166c60a0000030a00000903eb00500008e797
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p5 50540000000950540000000308004500002800000000400666c70a0000010a00000903e8030300000001000000005002200074ed0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000408004500002800000000400666c40a0000040a00000903ec005000000001000000005002200077990000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000408004500001c00000000401166c50a0000040a00000903ec00500008e795
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p5 50540000000950540000000408004500002800000000400666c70a0000010a00000903e8040400000001000000005002200073ec0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000508004500002800000000400666c30a0000050a00000903ed005000000001000000005002200077970000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000950540000000508004500001c00000000401166c40a0000050a00000903ed00500008e793
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p5 50540000000950540000000508004500002800000000400666c70a0000010a00000903e8050500000001000000005002200072eb0000
ovs-appctl revalidator/wait
ovs-pcap $D/p2-tx.pcap
ovs-pcap $D/p3-tx.pcap
ovs-pcap $D/p4-tx.pcap
ovs-appctl dpctl/dump-flows | sort
ovs-ofctl -O OpenFlow15 insert-buckets br0 group_id=9,command_bucket_id=last,bucket=bucket_id:8,weight=5,actions=output:5
ovs-ofctl -O OpenFlow15 remove-buckets br0 group_id=9,command_bucket_id=7
ovs-ofctl -O OpenFlow15 dump-groups br0 9
ovs-appctl revalidator/wait
ovs-appctl dpctl/dump-flows | sort
ovs-appctl ofproto/trace br0 in_port=1,tcp,dl_src=50:54:00:00:00:02,dl_dst=50:54:00:00:00:09,nw_src=10.0.0.2,nw_dst=10.0.0.9,tcp_src=1002,tcp_dst=80
