# Packet-outs through tables, groups of ports and connection tracking.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br0 p3 -- set interface p3 type=dummy ofport_request=3 options:tx_pcap=$D/p3-tx.pcap
ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 options:tx_pcap=$D/p4-tx.pcap
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
table=0,in_port=1,ip actions=2
table=0,in_port=CONTROLLER,ip actions=3
table=0,in_port=LOCAL actions=4
table=5,ip actions=ct(commit,table=6)
table=6,ct_state=+trk,ip actions=4
FLOWS
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=1 packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=table"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=controller packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=table"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=LOCAL packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=resubmit(,0)"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=2 packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=mod_dl_dst:02:00:00:00:00:77,in_port,output:3"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=flood"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=1,reg0=5 packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=resubmit(,5)"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow14 packet-out br0 "in_port=1 packet=50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f actions=push_vlan:0x8100,set_field:4196->vlan_vid,all"
ovs-appctl revalidator/wait
ovs-ofctl packet-out br0 3 output:4 50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f
ovs-ofctl packet-out br0 none output:77 50540000000250540000000108004500001e00000000401166cd0a0000010a00000200010002000a7b65706f
echo '$ ovs-pcap p1-tx.pcap'
ovs-pcap $D/p1-tx.pcap
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
echo '$ ovs-pcap p3-tx.pcap'
ovs-pcap $D/p3-tx.pcap
echo '$ ovs-pcap p4-tx.pcap'
ovs-pcap $D/p4-tx.pcap
echo '$ ovs-appctl dpctl/dump-conntrack'
ovs-appctl dpctl/dump-conntrack | sort
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-ofctl dump-flows br0'
ovs-ofctl dump-flows br0
echo '$ ovs-ofctl dump-ports br0'
ovs-ofctl dump-ports br0
