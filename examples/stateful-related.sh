# A stateful firewall: inside may open connections, outside may only answer, or report about them.
#
# "Related" is what belongs to a connection without being part of it: an ICMP error that quotes one of
# its packets, and the data connection that an FTP session asks for (only if its helper is switched on).
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 in -- set interface in type=dummy ofport_request=1 options:tx_pcap=$D/in.pcap
ovs-vsctl add-port br0 out -- set interface out type=dummy ofport_request=2 options:tx_pcap=$D/out.pcap
ovs-ofctl add-flows br0 - <<FLOWS
table=0,priority=10,arp                                  actions=NORMAL
table=0,priority=10,ip                                   actions=ct(table=1)
table=1,priority=90,ip,ct_state=+inv+trk                 actions=drop
table=1,priority=80,ip,ct_state=+est+trk,in_port=1       actions=2
table=1,priority=80,ip,ct_state=+est+trk,in_port=2       actions=1
# A related connection is committed when it begins, so that the rest of it is established.
table=1,priority=70,ip,ct_state=+new+rel+trk,in_port=1   actions=ct(commit),2
table=1,priority=70,ip,ct_state=+new+rel+trk,in_port=2   actions=ct(commit),1
table=1,priority=60,ip,ct_state=-new+rel+trk,in_port=2   actions=1
# What inside opens; FTP's control connection is watched by its helper.
table=1,priority=50,ip,ct_state=+new+trk,in_port=1,tcp,tp_dst=21 actions=ct(commit,alg=ftp),2
table=1,priority=40,ip,ct_state=+new+trk,in_port=1       actions=ct(commit),2
table=1,priority=0                                       actions=drop
FLOWS

# Frames between 10.0.0.1 (inside) and 10.0.0.2 (outside).
UDP=02000000002202000000001108004500001e00000000401166cd0a0000010a0000020fa0270f000a4cbf6869
# ICMP port unreachable, with the datagram above inside; and one that quotes a datagram nobody sent.
UNREACHABLE=02000000001102000000002208004500003a00000000400166c10a0000020a0000010303111b000000004500001e00000000401166cd0a0000010a0000020fa0270f000a4cbf6869
FORGED=02000000001102000000002208004500003a00000000400166c10a0000020a0000010303111b000000004500001e00000000401166cd0a0000010a0000020fa1270f000a4cbe6869
# FTP: SYN, SYN+ACK, ACK, "PORT 10,0,0,1,156,64" (port 40000), and SYNs from port 20 to 40000 and 40001.
SYN=02000000002202000000001108004500002800000000400666ce0a0000010a0000020fa000150000006400000000500220006bc70000
SYN_ACK=02000000001102000000002208004500002800000000400666ce0a0000020a00000100150fa0000001f4000000655012200069c20000
ACK=02000000002202000000001108004500002800000000400666ce0a0000010a0000020fa0001500000065000001f55010200069c30000
PORT_40000=02000000002202000000001108004500003e00000000400666b80a0000010a0000020fa0001500000065000001f5501820003a800000504f52542031302c302c302c312c3135362c36340d0a
DATA_40000=02000000001102000000002208004500002800000000400666ce0a0000020a00000100149c40000003840000000050022000dc070000
DATA_40001=02000000001102000000002208004500002800000000400666ce0a0000020a00000100149c41000003840000000050022000dc060000

echo "== outside cannot begin: nothing arrives"
ovs-appctl netdev-dummy/receive out $DATA_40000
ovs-pcap $D/in.pcap | wc -l

echo "== inside sends a datagram; the ICMP error about it may come in, a forged one may not"
ovs-appctl netdev-dummy/receive in $UDP
ovs-appctl netdev-dummy/receive out $FORGED
ovs-pcap $D/in.pcap | wc -l
ovs-appctl netdev-dummy/receive out $UNREACHABLE
ovs-pcap $D/in.pcap
ovs-appctl dpctl/dump-conntrack | sort

echo "== an FTP session; its PORT command makes an expectation"
ovs-appctl netdev-dummy/receive in $SYN
ovs-appctl netdev-dummy/receive out $SYN_ACK
ovs-appctl netdev-dummy/receive in $ACK
ovs-appctl netdev-dummy/receive in $PORT_40000
ovs-appctl dpctl/dump-conntrack | sort

echo "== the server may now connect back to port 40000, and to no other"
ovs-appctl netdev-dummy/receive out $DATA_40001
ovs-appctl netdev-dummy/receive out $DATA_40000
ovs-pcap $D/in.pcap | tail -2
ovs-appctl dpctl/dump-conntrack | sort

echo "== the megaflows: how much of a packet each answer depended on"
ovs-appctl revalidator/wait
ovs-appctl dpctl/dump-flows | sort
ovs-ofctl dump-flows br0 table=1 | sed 's/duration=[0-9.]*s/duration=*s/'
