# NSH pushed, forwarded and popped over two bridges, with both metadata types.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-br br1 -- set bridge br1 fail_mode=secure other_config:datapath-id=0000000000000011 other_config:hwaddr=aa:66:aa:66:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 options:tx_pcap=$D/p1-tx.pcap
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2-tx.pcap
ovs-vsctl add-port br1 sf -- set interface sf type=dummy ofport_request=1 options:tx_pcap=$D/sf-tx.pcap
ovs-vsctl add-port br1 out -- set interface out type=dummy ofport_request=2 options:tx_pcap=$D/out-tx.pcap
ovs-vsctl add-port br0 pa -- set interface pa type=patch options:peer=pb ofport_request=9
ovs-vsctl add-port br1 pb -- set interface pb type=patch options:peer=pa ofport_request=9
ovs-ofctl -O OpenFlow13 add-flows br0 - > /dev/null <<FLOWS
in_port=1,tcp,tp_dst=80 actions=encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,set_field:255->nsh_si,set_field:0xa->nsh_c1,encap(ethernet),set_field:50:54:00:00:00:99->eth_dst,output:9
in_port=1,priority=1 actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),set_field:0x99->nsh_spi,encap(ethernet),set_field:50:54:00:00:00:98->eth_dst,output:2
FLOWS
ovs-ofctl -O OpenFlow13 add-flows br1 - > /dev/null <<FLOWS
table=0,in_port=9,dl_type=0x894f,nsh_spi=0x1234,nsh_si=255 actions=decap(),dec_nsh_ttl,set_field:254->nsh_si,encap(ethernet),set_field:50:54:00:00:00:aa->eth_dst,output:1
table=0,in_port=1,dl_type=0x894f,nsh_si=254 actions=decap(),decap(),output:2
FLOWS
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500002800000000400666ce0a0000010a0000020fa000500000000100000000500220006bef0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive p1 50540000000250540000000108004500001f00000000401166cc0a0000010a0000020fa00050000b1783616263
ovs-appctl revalidator/wait
echo '$ ovs-pcap p2-tx.pcap'
ovs-pcap $D/p2-tx.pcap
echo '$ ovs-pcap sf-tx.pcap'
ovs-pcap $D/sf-tx.pcap
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_dst=80'
ovs-appctl ofproto/trace br0 in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_dst=80
ovs-appctl netdev-dummy/receive sf 5054000000995054000000aa894f0fc60103001234fe0000000a00000000000000000000000050540000000250540000000108004500002800000000400666ce0a0000010a0000020fa000500000000100000000500220006bef0000
ovs-appctl revalidator/wait
echo '$ ovs-pcap out-tx.pcap'
ovs-pcap $D/out-tx.pcap
echo '$ ovs-appctl ofproto/trace br1 in_port=1,dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_si=254...'
ovs-appctl ofproto/trace br1 in_port=1,dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_si=254,nsh_spi=0x1234
echo '$ ovs-ofctl -O OpenFlow15 dump-flows br0'
ovs-ofctl -O OpenFlow15 dump-flows br0
echo '$ ovs-ofctl -O OpenFlow13 dump-flows br1'
ovs-ofctl -O OpenFlow13 dump-flows br1
